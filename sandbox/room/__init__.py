"""What runs inside the walls, in the order of one room's life.

`launch` leaves the host's namespaces, `root` builds the file system, `cell` is the innermost wall
round the worker, `seal` looks whether all of them stand. Then `supervisor` waits for what happens:
`answer` takes each system call that the filter notifies, `decide` says whether it goes on, `divert`
leads it into the sinkhole, `recorder` tells of it; `watch` holds the limits. Zone: supervisor; `cell`
ends as the worker. Standard library only.
"""
