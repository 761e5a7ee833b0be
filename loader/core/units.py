"""Sizes and times as people write them: 8GiB, 512M, 90s, 5m, 30d."""

from __future__ import annotations

import re

#: Seconds. What waits for a room counts milliseconds in 32 bits.
LONGEST_TIMEOUT = 7 * 86400.0
#: Bytes. No machine has more, and the kernel takes no larger limit than eight times that.
LARGEST_MEMORY = 1 << 50
_SIZES = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}
_TIMES = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def parse_size(text: str) -> int:
    """Bytes in "8GiB", "8G", "512MB" or "4096". Powers of 1024. Raises ValueError."""
    match = re.fullmatch(r"(\d{1,15})\s*([kmgt]?)(?:i?b)?", text.strip().lower())
    if match is None:
        raise ValueError(f"{text!r} is not a size; write e.g. 8GiB or 512M")
    return int(match[1]) * _SIZES[match[2]]


def parse_shard_size(text: str) -> int:
    """Bytes as transformers reads a shard's size: "5GB" in powers of 1000, "5GiB" of 1024. Raises ValueError."""
    match = re.fullmatch(r"(\d{1,15})\s*([kmgt])b", text.strip().lower())
    if match is None:
        return parse_size(text)
    return int(match[1]) * {"k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}[match[2]]


def parse_seconds(text: str) -> float:
    """Seconds in "90", "90s", "5m", "1h" or "30d". Raises ValueError."""
    match = re.fullmatch(r"(\d{1,9}(?:\.\d{1,6})?)\s*([smhd]?)", text.strip().lower())
    if match is None or float(match[1]) == 0:
        raise ValueError(f"{text!r} is not a time; write e.g. 90, 90s or 5m")
    return float(match[1]) * _TIMES[match[2]]


def format_limit(count: int) -> str:
    """A limit as people set it: "20 GiB", "512 MiB". Bytes where no unit fits evenly."""
    large = (("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20))
    for unit, size in (*large, ("GB", 10**9), ("MB", 10**6), ("kB", 10**3), ("KiB", 1 << 10)):
        if count >= size and count % (size // 4) == 0:
            return f"{count / size:g} {unit}"
    return f"{count} B"


def format_size(count: int) -> str:
    """A size for people: "512 B", "86.7 MB", "1.9 GB". Powers of 1000, as file managers show."""
    size = float(count)
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if size < 1000 or unit == "TB":
            return f"{count} B" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    raise AssertionError("unreachable")
