"""Huge pages for what a process that is forked often has in memory: madvise(2). Whom the kernel killed
for want of memory: /proc/vmstat."""

from __future__ import annotations

from safe_load.sandbox.kernel import libc

_HUGE = 2 << 20
_MADV_COLLAPSE = 25  # Linux 6.1


def collapse() -> int:
    """Put the private writable memory of this process on huge pages, as far as the kernel has any.

    A fork copies one entry for each page, and an end frees them: with 280 MB in small pages that is
    6 and 7 ms, in huge ones 2 and 3. A child that writes takes small pages again, for what it writes.
    Returns the number of huge pages; 0 where the kernel cannot.
    """
    done = 0
    with open("/proc/self/maps", encoding="ascii", errors="replace") as file:
        lines = file.read().splitlines()
    for line in lines:
        extent, rights, _, _, inode, *_ = line.split()
        if rights != "rw-p" or inode != "0":
            continue
        low, high = (int(end, 16) for end in extent.split("-"))
        for address in range(-(-low // _HUGE) * _HUGE, high - _HUGE + 1, _HUGE):
            try:
                libc.call("madvise", address, _HUGE, _MADV_COLLAPSE)
            except (
                OSError
            ):  # nothing there, no huge page to be had, or an older kernel: small ones do
                continue
            done += 1
    return done


def oom_kills() -> int:
    """How many processes the kernel of this machine has killed for memory since it started, in control
    groups too (oom_kill, Linux 4.13). 0 where it does not say."""
    try:
        with open("/proc/vmstat", encoding="ascii") as file:
            return next((int(line.split()[1]) for line in file if line.startswith("oom_kill ")), 0)
    except OSError:
        return 0
