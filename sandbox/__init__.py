"""The walls. Knows rooms, jobs and system calls, and nothing of models.

Zones of trust: `backends/`, `policy`, `runtime` and `doctor` run in the controller; `room/` and
`kernel/` run inside the walls (supervisor and worker) and use the standard library only. This
package imports `safe_load.profiles` and nothing else of safe_load.
"""
