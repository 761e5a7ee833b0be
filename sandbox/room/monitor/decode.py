"""From registers to arguments that a person can read. Tables over branches.

Everything read here belongs to a hostile process and may change while it is read: it is evidence,
never the ground for a decision. Nothing here raises for what the other side did.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Callable
from typing import Any

from safe_load.sandbox.room.monitor.caller import Caller

PATH_LIMIT = 4096
_ARGV_LIMIT, _ARGV_BYTES = 64, 4096  # words, and bytes of all of them
_DATA_LIMIT = 256
_UIO_MAXIOV = 1024  # what the kernel takes of longer arrays
_AT_FDCWD = -100


Decoder = Callable[[Caller, tuple[int, ...], int], Any]


def text(data: bytes) -> str:
    return data.decode("utf-8", "backslashreplace")


def signed(register: int) -> int:
    """The int in the lower half of a register."""
    return struct.unpack("=i", struct.pack("=I", register & 0xFFFFFFFF))[0]  # type: ignore[no-any-return]


def integer(_caller: Caller, args: tuple[int, ...], index: int) -> int:
    return signed(args[index])


def hexadecimal(_caller: Caller, args: tuple[int, ...], index: int) -> str:
    return hex(args[index])


def string(caller: Caller, args: tuple[int, ...], index: int) -> str | None:
    raw = caller.memory.string(args[index], PATH_LIMIT)
    return None if raw is None else text(raw)


def path(caller: Caller, args: tuple[int, ...], index: int) -> str | None:
    return _absolute(caller, _AT_FDCWD, caller.memory.string(args[index], PATH_LIMIT))


def path_at(caller: Caller, args: tuple[int, ...], index: int) -> str | None:
    """A path relative to the directory descriptor in the register before it."""
    raw = caller.memory.string(args[index], PATH_LIMIT)
    return _absolute(caller, signed(args[index - 1]), raw)


def _absolute(caller: Caller, folder: int, raw: bytes | None) -> str | None:
    if raw is None:
        return None
    if raw.startswith(b"/"):
        return text(os.path.normpath(raw))
    link = "cwd" if folder == _AT_FDCWD else f"fd/{folder}"
    try:
        base = os.readlink(f"{caller.proc}/{caller.pid}/{link}")
    except OSError:
        return text(raw)
    return text(os.path.normpath(os.path.join(os.fsencode(base), raw)))


def open_path(caller: Caller, args: tuple[int, ...], index: int) -> str | None:
    """What a descriptor leads to."""
    try:
        return os.readlink(f"{caller.proc}/{caller.pid}/fd/{signed(args[index])}")
    except OSError:
        return None


def vector(caller: Caller, args: tuple[int, ...], index: int) -> list[str]:
    """A NULL-terminated array of strings, as in argv."""
    raw = caller.memory.read(args[index], 8 * _ARGV_LIMIT)
    words: list[str] = []
    left = _ARGV_BYTES
    for (pointer,) in struct.iter_unpack("=Q", raw[: len(raw) & ~7]):
        if pointer == 0:
            break
        if left <= 0:
            words.append("...")
            break
        word = caller.memory.string(pointer, left)
        left -= len(word or b"") + 1
        words.append("?" if word is None else text(word))
    return words


_FAMILIES = {int(family): family.name for family in socket.AddressFamily}
_TYPES = {int(kind): kind.name for kind in socket.SocketKind}


def family(_caller: Caller, args: tuple[int, ...], index: int) -> str:
    number = args[index] & 0xFFFFFFFF
    return _FAMILIES.get(number, str(number))


def socket_type(_caller: Caller, args: tuple[int, ...], index: int) -> str:
    number = args[index] & 0xF
    return _TYPES.get(number, str(number))


def sockaddr(raw: bytes) -> dict[str, Any]:
    """A socket address of any family (socket(7), ip(7), ipv6(7), unix(7))."""
    if len(raw) < 2:
        return {"family": "?"}
    number = int.from_bytes(raw[:2], "little")
    found: dict[str, Any] = {"family": _FAMILIES.get(number, str(number))}
    if number == socket.AF_INET and len(raw) >= 8:
        found["port"] = int.from_bytes(raw[2:4], "big")
        found["address"] = socket.inet_ntop(socket.AF_INET, raw[4:8])
    elif number == socket.AF_INET6 and len(raw) >= 24:
        found["port"] = int.from_bytes(raw[2:4], "big")
        address = raw[8:24]
        if address.startswith(bytes(10) + b"\xff\xff"):  # IPv4-mapped
            found["address"] = socket.inet_ntop(socket.AF_INET, address[12:])
        else:
            found["address"] = socket.inet_ntop(socket.AF_INET6, address)
    elif number == socket.AF_UNIX:
        name = raw[2:110]
        if name.startswith(b"\0"):
            found["address"] = "@" + text(name[1:].rstrip(b"\0"))
        else:
            found["address"] = text(name.partition(b"\0")[0])
    else:
        found["raw"] = raw[2:32].hex()
    return found


def address(caller: Caller, args: tuple[int, ...], index: int) -> dict[str, Any] | None:
    """The socket address at a pointer whose length is in the next register."""
    if args[index] == 0:
        return None
    size = args[index + 1] & 0xFFFFFFFF
    return sockaddr(caller.memory.read(args[index], min(size, 128)))


def data(caller: Caller, args: tuple[int, ...], index: int) -> str:
    """The first bytes of a buffer whose length is in the next register."""
    size = args[index + 1]
    return text(caller.memory.read(args[index], min(size, _DATA_LIMIT)))


def message(caller: Caller, args: tuple[int, ...], index: int) -> dict[str, Any]:
    """A struct msghdr: its destination and the first bytes (sendmsg(2))."""
    raw = caller.memory.read(args[index], 56)
    if len(raw) < 56:
        return {}
    name, name_size, vectors, count = struct.unpack_from("=QIxxxxQQ", raw)
    found: dict[str, Any] = {}
    if name:
        found["address"] = sockaddr(caller.memory.read(name, min(name_size, 128)))
    first = caller.memory.read(vectors, 16) if count else b""
    if len(first) == 16:
        base, size = struct.unpack("=QQ", first)
        found["data"] = text(caller.memory.read(base, min(size, _DATA_LIMIT)))
    return found


def messages(caller: Caller, args: tuple[int, ...], index: int) -> dict[str, Any]:
    """Of an array of struct mmsghdr, whose length is in the next register: the first that has a
    destination, with its place in the array; the first of all if none has (sendmmsg(2))."""
    table = caller.memory.read(args[index], 64 * min(args[index + 1] & 0xFFFFFFFF, _UIO_MAXIOV))
    for place in range(len(table) // 64):
        if any(table[64 * place : 64 * place + 8]):
            found = message(caller, (args[index] + 64 * place,), 0)
            return {**found, "place": place} if place else found
    return message(caller, args, index)


def gathered(caller: Caller, address: int, limit: int) -> bytes:
    """All bytes of the struct msghdr at an address, up to a limit."""
    raw = caller.memory.read(address, 56)
    if len(raw) < 56:
        return b""
    _, _, vectors, count = struct.unpack_from("=QIxxxxQQ", raw)
    parts: list[bytes] = []
    table = caller.memory.read(vectors, 16 * min(count, _ARGV_LIMIT))
    for base, size in struct.iter_unpack("=QQ", table[: len(table) & ~15]):
        parts.append(caller.memory.read(base, min(size, limit)))
        limit -= len(parts[-1])
    return b"".join(parts)


_OPEN_FLAGS = {
    os.O_WRONLY: "O_WRONLY",
    os.O_RDWR: "O_RDWR",
    os.O_CREAT: "O_CREAT",
    os.O_EXCL: "O_EXCL",
    os.O_TRUNC: "O_TRUNC",
    os.O_APPEND: "O_APPEND",
    os.O_DIRECTORY: "O_DIRECTORY",
    os.O_NOFOLLOW: "O_NOFOLLOW",
    os.O_PATH: "O_PATH",
}


def open_flags(_caller: Caller, args: tuple[int, ...], index: int) -> str:
    return open_flag_names(args[index] & 0xFFFFFFFF)


def open_flag_names(value: int) -> str:
    names = [name for flag, name in _OPEN_FLAGS.items() if value & flag == flag]
    if not value & os.O_ACCMODE:
        names.insert(0, "O_RDONLY")
    return "|".join(names)


def message_flags(_caller: Caller, args: tuple[int, ...], index: int) -> str:
    return "|".join(flag.name for flag in socket.MsgFlag if flag.name and args[index] & flag)


def how_flags(caller: Caller, args: tuple[int, ...], index: int) -> str:
    raw = caller.memory.read(args[index], 8)
    return open_flags(caller, (int.from_bytes(raw, "little"),), 0)


_TRANSFER: dict[str, tuple[int, Decoder]] = {"fd": (0, integer), "size": (2, integer)}
_SIGNAL: dict[str, tuple[int, Decoder]] = {"pid": (0, integer), "signal": (1, integer)}
_FD: dict[str, tuple[int, Decoder]] = {"fd": (0, integer)}
_OPEN_FILE: dict[str, tuple[int, Decoder]] = {**_FD, "path": (0, open_path)}
_TWO_PATHS: dict[str, tuple[int, Decoder]] = {"old": (0, path), "new": (1, path)}
_TWO_PATHS_AT: dict[str, tuple[int, Decoder]] = {"old": (1, path_at), "new": (3, path_at)}
_PATH: dict[str, tuple[int, Decoder]] = {"path": (0, path)}
_PATH_AT: dict[str, tuple[int, Decoder]] = {"path": (1, path_at)}
_ADDRESS: dict[str, tuple[int, Decoder]] = {"fd": (0, integer), "to": (1, address)}

#: system call -> argument name -> (register, decoder)
DECODERS: dict[str, dict[str, tuple[int, Decoder]]] = {
    "open": {**_PATH, "flags": (1, open_flags)},
    "creat": _PATH,
    "openat": {**_PATH_AT, "flags": (2, open_flags)},
    "openat2": {**_PATH_AT, "flags": (2, how_flags)},
    "execve": {"path": (0, path), "argv": (1, vector)},
    "execveat": {"path": (1, path_at), "argv": (2, vector)},
    **dict.fromkeys(("unlink", "rmdir", "mkdir", "chmod", "truncate", "mknod"), _PATH),
    **dict.fromkeys(("chown", "lchown", "utime", "utimes", "chroot", "umount2", "swapon"), _PATH),
    **dict.fromkeys(("unlinkat", "mkdirat", "mknodat", "fchmodat", "fchmodat2"), _PATH_AT),
    **dict.fromkeys(
        ("fchownat", "utimensat", "futimesat", "open_tree", "name_to_handle_at"), _PATH_AT
    ),
    **dict.fromkeys(("stat", "lstat", "access", "readlink", "chdir", "statfs"), _PATH),
    **dict.fromkeys(("newfstatat", "statx", "faccessat", "faccessat2", "readlinkat"), _PATH_AT),
    **dict.fromkeys(("read", "write", "pread64", "pwrite64"), _TRANSFER),
    **dict.fromkeys(("fstat", "lseek", "dup", "dup2", "dup3", "getdents64", "shutdown"), _FD),
    "fcntl": {**_OPEN_FILE, "command": (1, integer)},
    "flock": {**_OPEN_FILE, "operation": (1, integer)},
    **dict.fromkeys(("getpeername", "getsockname", "getsockopt", "setsockopt", "ftruncate"), _FD),
    **dict.fromkeys(("kill", "tkill"), _SIGNAL),
    **dict.fromkeys(("rename", "link", "pivot_root"), _TWO_PATHS),
    **dict.fromkeys(("renameat", "renameat2", "linkat"), _TWO_PATHS_AT),
    "symlink": {"target": (0, string), "path": (1, path)},
    "symlinkat": {"target": (0, string), "path": (2, path_at)},
    "mount": {"source": (0, string), "path": (1, path), "type": (2, string)},
    "socket": {"family": (0, family), "type": (1, socket_type), "protocol": (2, integer)},
    "socketpair": {"family": (0, family), "type": (1, socket_type)},
    "connect": _ADDRESS,
    "bind": {"fd": (0, integer), "address": (1, address)},
    "sendto": {
        "fd": (0, integer),
        "data": (1, data),
        "flags": (3, message_flags),
        "to": (4, address),
    },
    "sendmsg": {"fd": (0, integer), "message": (1, message)},
    "sendmmsg": {"fd": (0, integer), "message": (1, messages), "count": (2, integer)},
    "listen": {"fd": (0, integer)},
    "accept": {"fd": (0, integer)},
    "accept4": {"fd": (0, integer)},
    "ptrace": {"request": (0, integer), "pid": (1, integer)},
    "process_vm_readv": {"pid": (0, integer)},
    "process_vm_writev": {"pid": (0, integer)},
    "pidfd_open": {"pid": (0, integer)},
    "prctl": {"option": (0, integer), "value": (1, hexadecimal)},
    "ioctl": {"fd": (0, integer), "request": (1, hexadecimal)},
    "clone": {"flags": (0, hexadecimal)},
    "unshare": {"flags": (0, hexadecimal)},
    "setns": {"fd": (0, integer), "flags": (1, hexadecimal)},
    "memfd_create": {"name": (0, string)},
    "mmap": {"length": (1, hexadecimal), "flags": (3, hexadecimal)},
    "bpf": {"command": (0, integer)},
    "keyctl": {"operation": (0, integer)},
}


def arguments(name: str, caller: Caller, args: tuple[int, ...]) -> dict[str, Any]:
    """The decoded arguments of one call; the raw registers where there is no decoder."""
    decoders = DECODERS.get(name)
    if decoders is None:
        return {f"arg{index}": hex(value) for index, value in enumerate(args[:3])}
    return {label: decoder(caller, args, index) for label, (index, decoder) in decoders.items()}
