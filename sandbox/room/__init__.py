"""What runs inside the walls, in the order of one room's life.

`launch` leaves the host's namespaces, `root` builds the file system, `cell` is the innermost wall
round the worker, `supervisor` answers its system calls with the help of `decode`, `recorder` and
`watch`. Zone: supervisor; `cell` ends as the worker. Standard library only.
"""
