"""What is known to be malicious, offline: packages from OSV's dumps, and models from signed lists, in SQLite.

Zone: controller. Nothing is fetched: a user imports files. What a file says is bounded and typed (`osv`,
`known_bad`), and an import holds whole or not at all (`store`).
"""
