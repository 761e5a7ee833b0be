"""Pickles that call a function, opcode by opcode."""

from __future__ import annotations

import functools
import json
import struct
import sys

SYSTEM = b"cos\nsystem\n"
ARGUMENT = b"S'touch /tmp/pwned'\n"


WATCHED = {
    "os.system",
    "subprocess.Popen",
    "os.exec",
    "os.posix_spawn",
    "socket.connect",
    "pickle.find_class",
}


# The watched events that have not happened yet. An audit hook stays for the life of its process, and
# one in Python lets another thread run in the midst of sys.settrace, which then fails in whichever test
# measures coverage there. So there is one, in C, that takes the name of its event out of this and keeps
# nothing: dict.pop(event, arguments).
unheard: dict[str, object] = {}


@functools.cache  # a fixture of the module would bind its tests to one worker
def listen() -> None:
    sys.addaudithook(unheard.pop)


ROUTES = {
    "REDUCE": (SYSTEM + b"(" + ARGUMENT + b"tR.", "os.system"),
    "INST": (b"(" + ARGUMENT + b"ios\nsystem\n.", "os.system"),
    "OBJ": (b"(" + SYSTEM + ARGUMENT + b"o.", "os.system"),
    "NEWOBJ": (SYSTEM + b"(" + ARGUMENT + b"t\x81.", "os.system"),
    "NEWOBJ_EX": (SYSTEM + b"(" + ARGUMENT + b"t}\x92.", "os.system"),
    "EXT1": (b"\x82\x01.", "extension 1"),
    "EXT2": (b"\x83\x01\x01.", "extension 257"),
    "EXT4": (b"\x84\x01\0\0\x01.", "extension 16777217"),
    "PERSID": (b"Ptouch\n.", "persistent_load"),
    "BINPERSID": (b"]Q.", "persistent_load"),
}


def header(table: dict[str, object], data: bytes = b"") -> bytes:
    raw = json.dumps(table).encode()
    return struct.pack("<Q", len(raw)) + raw + data
