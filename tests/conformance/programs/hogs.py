"""Programs that take more than they are given."""

from __future__ import annotations

import ctypes
import mmap
import os
import signal
import socket
import threading
import time
from functools import partial
from typing import TYPE_CHECKING, Any

import raw

if TYPE_CHECKING:
    from collections.abc import Sequence

MIB = 1 << 20
CLOSE_RANGE_UNSHARE = 2


def spin(argument: dict[str, Any], outputs: Sequence[int]) -> dict[str, Any]:
    """Compute for ever."""
    while True:
        pass


def family(argument: dict[str, Any], outputs: Sequence[int]) -> dict[str, Any]:
    """A tree of processes that ignore every signal, some in sessions of their own."""
    for number in set(signal.Signals) - {signal.SIGKILL, signal.SIGSTOP}:
        signal.signal(number, signal.SIG_IGN)
    for _ in range(4):
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                os.setsid()
            spin(argument, outputs)
    return spin(argument, outputs)


def eat(size: int) -> mmap.mmap:
    """Touch every page of that much memory."""
    memory = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    for at in range(0, size, 4096):
        memory[at] = 1
    return memory


def memory(argument: dict[str, Any], outputs: Sequence[int]) -> dict[str, Any]:
    """Take argument["each"] bytes in each of argument["processes"] processes."""
    for _ in range(argument["processes"] - 1):
        if os.fork() == 0:
            break
    kept = eat(argument["each"])
    time.sleep(300)
    return {"never": len(kept)}


def headless(argument: dict[str, Any], outputs: Sequence[int]) -> dict[str, Any]:
    """Take memory in a thread, after the one that the process is known by has left."""

    def take() -> None:
        time.sleep(0.1)
        kept = eat(argument["each"])
        time.sleep(300)
        del kept

    threading.Thread(target=take).start()
    raw.call("exit", 0)  # of this thread alone
    return {}


def shared(argument: dict[str, Any], outputs: Sequence[int]) -> dict[str, Any]:
    """Ask for memory that several processes share, in every way there is."""
    return {
        "anonymous": raw.call("mmap", 0, MIB, 3, 0x21, -1, 0),
        "of /dev/zero": raw.attempt(lambda: os.open("/dev/zero", os.O_RDWR)),
        "of /dev/shm": raw.attempt(lambda: os.open("/dev/shm/x", os.O_RDWR | os.O_CREAT)),
        "memfd": raw.call("memfd_create", 0, 0),
        "System V": raw.call("shmget", 0, MIB, 0o1600),
    }


def zeros(argument: dict[str, Any], outputs: Sequence[int]) -> dict[str, Any]:
    """Map /dev/zero as memory that is shared, and let go of nothing, until argument["whole"] bytes."""
    descriptor = os.open("/dev/zero", os.O_RDWR)
    kept = []
    for _ in range(0, argument["whole"], 16 * MIB):
        kept.append(mmap.mmap(descriptor, 16 * MIB))
        for at in range(0, 16 * MIB, 4096):
            kept[-1][at] = 1
    time.sleep(300)
    return {}


def mapped_scratch(argument: dict[str, Any], outputs: Sequence[int]) -> dict[str, Any]:
    """Map one large scratch file and touch all of it."""
    size = argument["each"]
    with open(raw.scratch("shared"), "w+b") as file:
        file.truncate(size)
        kept = mmap.mmap(file.fileno(), size)
    for _ in range(argument["processes"] - 1):
        if os.fork() == 0:
            break
    for at in range(0, size, 4096):
        kept[at] = 1
    time.sleep(300)
    return {}


def page_tables(argument: dict[str, Any], outputs: Sequence[int]) -> dict[str, Any]:
    """Touch one page in each 2 MiB of a file's mapping: 4 KiB of page table for each, and the page
    itself is the page cache's, not ours."""
    raw.LIBC.mmap.restype = ctypes.c_void_p
    descriptor = os.open(os.__file__, os.O_RDONLY)
    for _ in range(argument["processes"] - 1):
        if os.fork() == 0:
            break
    start = 0x100000000000
    for index in range(argument["each"]):
        raw.LIBC.mmap(
            ctypes.c_void_p(start + index * 2 * MIB),
            ctypes.c_size_t(4096),
            1,
            2 | 0x100000,
            descriptor,
            ctypes.c_long(0),
        )
        ctypes.string_at(start + index * 2 * MIB, 1)
    time.sleep(300)
    return {}


def populate(argument: dict[str, Any], outputs: Sequence[int]) -> dict[str, Any]:
    """Take argument["each"] bytes in each of argument["processes"] processes, as fast as there is,
    after argument["first"] seconds."""
    time.sleep(argument.get("first", 0))
    for _ in range(argument["processes"] - 1):
        if os.fork() == 0:
            break
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | mmap.MAP_POPULATE
    kept = mmap.mmap(-1, argument["each"], flags=flags)
    time.sleep(300)
    return {"never": len(kept)}


def sockets(argument: dict[str, Any], outputs: Sequence[int]) -> dict[str, Any]:
    """Fill the queues of as many pairs of sockets as one gets: memory of the kernel's, of nobody's."""
    for _ in range(argument["processes"] - 1):
        if os.fork() == 0:
            break
    kept = []
    block = bytes(65536)
    while True:
        try:
            pair = socket.socketpair()
        except OSError:
            break
        kept.append(pair)
        for end in pair:
            end.setblocking(False)
            while raw.attempt(lambda: os.write(end.fileno(), block)) == "":  # noqa: B023
                pass
    time.sleep(argument["hold"])
    return {"pairs": len(kept)}


def bomb(argument: dict[str, Any], outputs: Sequence[int]) -> dict[str, Any]:
    """Fork, and so does every child."""
    while True:
        raw.attempt(os.fork)


def threads(argument: dict[str, Any], outputs: Sequence[int]) -> dict[str, Any]:
    """Start threads until there are no more, and keep them."""
    try:
        while True:
            threading.Thread(target=time.sleep, args=(300,), daemon=True).start()
    except RuntimeError:
        time.sleep(300)
        raise


def large_file(argument: dict[str, Any], outputs: Sequence[int]) -> dict[str, Any]:
    """Write, truncate and allocate past argument["size"] in an output. What each met."""
    size = argument["size"]
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    met = {
        "truncate": raw.attempt(lambda: os.ftruncate(outputs[0], size + 1)),
        "allocate": raw.attempt(lambda: os.posix_fallocate(outputs[0], 0, size + 1)),
        "write": raw.attempt(lambda: os.pwrite(outputs[0], b"x", size)),
    }
    os.ftruncate(outputs[0], size)
    return met


def keep_writing(argument: dict[str, Any], outputs: Sequence[int]) -> dict[str, Any]:
    """Write to an output for ever, as an honest program would, whatever is raised is raised."""
    if argument.get("die"):
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    while True:
        os.write(outputs[0], bytes(MIB))


def scratch(argument: dict[str, Any], outputs: Sequence[int]) -> dict[str, Any]:
    """Fill the scratch folder with one file, then with empty ones. How far each went, and why not on."""
    size = files = 0
    with open(raw.scratch("fill"), "wb", buffering=0) as file:
        full = raw.attempt(lambda: [file.write(bytes(65536)) for _ in range(1 << 20)])
        size = os.fstat(file.fileno()).st_size
        file.truncate(0)
    no_more = ""
    while not no_more and files < 1 << 16:
        name = raw.scratch(str(files))
        no_more = raw.attempt(lambda: os.close(os.open(name, os.O_CREAT | os.O_WRONLY)))  # noqa: B023
        files += not no_more
    return {"size": size, "full": full, "files": files, "no more": no_more}


def crowd_scratch(argument: dict[str, Any], outputs: Sequence[int]) -> dict[str, Any]:
    """Fill the scratch folder past its bounds, with files that are each within them: as they are,
    with nothing in them, without names, or only mapped; and what has no name is hidden in a message
    that nobody takes, in a thread with descriptors of its own, or behind a process without a head."""
    way = argument["way"]
    if way in ("apart", "headless"):
        threading.Thread(target=_crowd, args=(argument["each"],)).start()
        if way == "headless":
            raw.call("exit", 0)  # of this thread alone
        time.sleep(300)
    kept: list[Any] = list(socket.socketpair()) if way == "sent" else []
    for index in range(200 if way == "names" else 20):
        place = raw.scratch(f"crowd-{index}")
        file = open(place, "w+b", buffering=0)  # noqa: SIM115 - it is kept
        if way == "names":
            file.close()
            continue
        file.write(bytes(argument["each"]))
        kept.append(file)
        if way in ("removed", "mapped", "sent"):
            os.unlink(place)  # noqa: PTH108
        if way == "sent" and not raw.attempt(partial(_send, kept[0], file.fileno())):
            file.close()
        if way == "mapped":
            kept[-1] = mmap.mmap(file.fileno(), argument["each"])
            file.close()
    time.sleep(300)
    return {"kept": len(kept)}


def _send(sock: socket.socket, descriptor: int) -> None:
    socket.send_fds(sock, [b"-"], [descriptor])


def a_thread_with_its_own_descriptors(
    argument: dict[str, Any], outputs: Sequence[int]
) -> dict[str, Any]:
    """CLONE_VM, CLONE_SIGHAND and CLONE_THREAD, but not CLONE_FILES."""
    return {"met": raw.call("clone", 0x100 | 0x800 | 0x10000, 0, 0, 0, 0)}


def _crowd(each: int) -> None:
    raw.call("close_range", 900, 900, CLOSE_RANGE_UNSHARE)
    kept = []
    for index in range(20):
        place = raw.scratch(f"crowd-{index}")
        kept.append(open(place, "w+b", buffering=0))  # noqa: SIM115 - it is kept
        kept[-1].write(bytes(each))
        os.unlink(place)  # noqa: PTH108
    time.sleep(300)


def fill_scratch(argument: dict[str, Any], outputs: Sequence[int]) -> dict[str, Any]:
    with open(raw.scratch("fill"), "wb") as file:
        while True:
            file.write(bytes(65536))


def descriptors(argument: dict[str, Any], outputs: Sequence[int]) -> dict[str, Any]:
    opened = 0
    while not (met := raw.attempt(lambda: os.dup(0))):
        opened += 1
    return {"opened": opened, "met": met}


def result(argument: dict[str, Any], outputs: Sequence[int]) -> dict[str, Any]:
    """Say argument["size"] bytes."""
    return {"text": "x" * argument["size"]}


def chatter(argument: dict[str, Any], outputs: Sequence[int]) -> dict[str, Any]:
    """Print argument["size"] bytes, and a last word."""
    for _ in range(argument["size"] >> 16):
        os.write(1, b"y" * 65536)
    os.write(2, b"the last word")
    return {}


def events(argument: dict[str, Any], outputs: Sequence[int]) -> dict[str, Any]:
    """Make argument["count"] different calls that are recorded, then one that matters."""
    for index in range(argument["count"]):
        raw.attempt(lambda: os.open(f"/nowhere/{index}", os.O_RDONLY))  # noqa: B023
    raw.attempt(lambda: os.execv("/bin/hidden", ["hidden", "behind", "the", "flood"]))
    return {}


def same_event(argument: dict[str, Any], outputs: Sequence[int]) -> dict[str, Any]:
    """One call, argument["count"] times."""
    for _ in range(argument["count"]):
        raw.attempt(lambda: os.open("/nowhere/at-all", os.O_RDONLY))
    return {}


def fat_events(argument: dict[str, Any], outputs: Sequence[int]) -> dict[str, Any]:
    """argument["count"] calls, each with as many words as can be told."""
    for index in range(argument["count"]):
        words = [f"{index}", *(chr(1) * 1023 for _ in range(63))]
        raw.attempt(lambda: os.execv("/bin/fat", words))  # noqa: B023
    return {}


def storm(argument: dict[str, Any], outputs: Sequence[int]) -> dict[str, Any]:
    """Notified calls from 64 processes at once, each one different."""
    for _ in range(6):
        os.fork()
    index = 0
    while True:
        index += 1
        raw.attempt(lambda: os.open(f"/nowhere/{os.getpid()}/{index}", os.O_RDONLY))  # noqa: B023


def measure(argument: dict[str, Any], outputs: Sequence[int]) -> dict[str, Any]:
    """Seconds for argument["count"] calls that are notified and quiet, and for as many that are not."""
    began = time.perf_counter()
    for _ in range(argument["count"]):
        os.close(os.open("/dev/urandom", os.O_RDONLY))
    notified = time.perf_counter() - began
    began = time.perf_counter()
    for _ in range(argument["count"]):
        os.close(os.dup(0))
    return {"notified": notified, "silent": time.perf_counter() - began}
