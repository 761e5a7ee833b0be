"""Files that share blocks on the disk until one of them is written: btrfs, XFS, and others."""

from __future__ import annotations

import errno
import fcntl
import struct

#: Blocks of the file systems that share them have this size or a smaller one on ordinary machines.
BLOCK = 4096
# include/uapi/linux/fs.h: _IOW(0x94, 13, struct file_clone_range).
_FICLONERANGE = 0x4020940D
#: What ioctl_ficlonerange(2) answers where blocks cannot be shared: another file system, one that
#: knows no sharing, blocks of another size, a file of another kind.
_CANNOT = {
    errno.EBADF,
    errno.EINVAL,
    errno.EISDIR,
    errno.ENOTTY,
    errno.EOPNOTSUPP,
    errno.EPERM,
    errno.ETXTBSY,
    errno.EXDEV,
}


def share(source: int, start: int, output: int, to: int, length: int) -> bool:
    """Have bytes of `output` be those of `source`, without a copy. All offsets and the length are in
    bytes, and multiples of BLOCK. False where the file system cannot; then nothing has changed.
    Raises OSError, e.g. for a full disk."""
    try:
        fcntl.ioctl(output, _FICLONERANGE, struct.pack("=qQQQ", source, start, length, to))
    except OSError as error:
        if error.errno in _CANNOT:
            return False
        raise
    return True
