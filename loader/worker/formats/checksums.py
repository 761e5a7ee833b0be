"""CRC-32C, the checksum of Castagnoli, which the standard library lacks. Zone: worker.

RFC 3720, B.4; TensorFlow and LevelDB keep it masked (tensorflow/core/lib/hash/crc32c.h).
"""

from __future__ import annotations

#: Bytes of a file whose checksums are computed: a few megabytes take a second.
MAX_CHECKED = 4 << 20


def _table() -> list[int]:
    found = []
    for number in range(256):
        value = number
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
        found.append(value)
    return found


_TABLE = _table()


def crc32c(data: bytes) -> int:
    """The checksum of these bytes."""
    value, table = 0xFFFFFFFF, _TABLE
    for byte in data:
        value = value >> 8 ^ table[(value ^ byte) & 0xFF]
    return value ^ 0xFFFFFFFF


def masked_crc32c(data: bytes) -> int:
    """The same, as a file keeps it beside the bytes."""
    crc = crc32c(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF
