"""Tools and MCP servers: any program in a room, its connections through the controller, and what it says.

Zone: controller. `running` is the path of one run. `finding_files` says what a room shows, `relay`
makes the connections that are allowed, `judging` turns what was recorded into findings, and
`inspecting` lists what an MCP server offers. Nothing here parses what a server says: a room does.
"""
