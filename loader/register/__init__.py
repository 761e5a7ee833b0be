"""The chain register: the models, hosts, libraries, tools and MCP servers that a project brings in.

Zone: controller. Everything in the project is hostile input, and nothing of it runs. `walk` lists the files with
bounds, `reading` has them parsed by a child process with limits of memory and time (`reader` and what it imports),
`judge` makes rows of the references that come back, `compare` compares two registers, the `form_` modules write them.
"""
