"""The line to a container: standard input one way, standard output and error the other.

Zone: controller. The engine sends both outputs down one socket, in frames of eight bytes of header
and up to 4 GiB (docker attach); each frame's size is bounded here, and its content as everywhere.
"""

from __future__ import annotations

import select
import socket
import struct
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from safe_load.sandbox.backends import room_stream

if TYPE_CHECKING:
    from safe_load.profiles import Profile
    from safe_load.sandbox.backends.room_stream import Transcript

_HEADER = struct.Struct(">BxxxI")
_STDOUT, _STDERR = 1, 2
_LARGEST = 1 << 20  # of one frame: engines send 32 KiB at most
_PIECE = 1 << 18
_SAY_S = 60.0
#: How long after the line was let go of a container may still talk, and how often that is looked at.
_GRACE_S, _LOOK_S = 1.0, 0.25


class Stream:
    """What `attach` gave: a socket in the clothes of the SDK."""

    def __init__(self, attached: Any) -> None:
        self._attached = attached
        self._socket: socket.socket = getattr(attached, "_sock", attached)
        self._pending = bytearray()
        self.let_go: float | None = None  # when

    def say(self, data: bytes) -> None:
        """Send to standard input. Raises OSError."""
        self._socket.settimeout(_SAY_S)
        try:
            self._socket.sendall(data)
        except BrokenPipeError:  # it has ended already, and its stream says why
            pass
        finally:
            self._socket.settimeout(None)

    def hear(self, seconds: float) -> list[tuple[int, bytes]] | None:
        """The whole frames that come within that time; None at the end. Raises OSError."""
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        if not poll.poll(max(0.0, seconds) * 1000):
            return []
        data = self._socket.recv(_PIECE)
        if not data:
            return None
        self._pending += data
        frames = []
        at = 0
        while len(self._pending) - at >= _HEADER.size:
            kind, size = _HEADER.unpack_from(self._pending, at)
            if kind not in (_STDOUT, _STDERR) or size > _LARGEST:
                raise OSError("the engine's attach stream is malformed")
            if len(self._pending) - at - _HEADER.size < size:
                break
            at += _HEADER.size
            frames.append((kind, bytes(self._pending[at : at + size])))
            at += size
        del self._pending[:at]
        return frames

    @property
    def is_overdue(self) -> bool:
        """Whether the container was let go of, and should have ended by now: it may be frozen."""
        return self.let_go is not None and time.monotonic() > self.let_go + _GRACE_S

    def hang_up(self) -> None:
        """Let go of standard input; may be called from another thread."""
        self.let_go = self.let_go or time.monotonic()
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """Let go of all of it."""
        self.hang_up()
        response = getattr(self._attached, "_response", None)
        if response is not None:  # which holds the connection
            response.close()
        self._attached.close()


def listen(stream: Stream, transcript: Transcript, profile: Profile, patience_s: float) -> bool:
    """Hear a container out: as room_stream.listen. False when it was given up."""
    limits = profile.limits
    deadline = time.monotonic() + limits.timeout + patience_s
    while True:
        left = deadline - time.monotonic()
        if left <= 0:
            transcript.blame(
                "broken", "the supervisor timed out: it did not end the room at its time limit"
            )
            return False
        if stream.is_overdue:
            transcript.blame("broken", room_stream.DEAF)
            return False
        frames = stream.hear(min(left, _LOOK_S))
        if frames is None:
            break
        for kind, data in frames:
            if kind == _STDOUT:
                unsigned = transcript.sign is None
                good = room_stream.hear(transcript, data)
                if unsigned and transcript.sign is not None:
                    stream.say(transcript.sign)
            else:
                good = room_stream.keep(transcript, data, limits.result)
            if not good:
                return False
    if transcript.end is None:
        transcript.output = transcript.result  # a dying interpreter's last words come the same way
    return True
