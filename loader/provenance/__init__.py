"""Where a source comes from: its publisher, its pin, names that imitate others, and what it was seen as before.

Zone: controller. Nothing here opens a model. What a hub says is kept apart as the hub's word: no number of
downloads and no age makes a finding milder.
"""
