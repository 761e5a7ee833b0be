"""What the pickle machine holds while it runs a stream: the bytes, the stack, the memo. Zone: worker.

Every opcode reads and changes a `State` by these methods. They check each length against the stream,
and each size against the budget that all streams of a file share.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from safe_load.worker.refusal import RefusedError, bomb
from safe_load.worker.spans import Span

if TYPE_CHECKING:
    import mmap

    from safe_load.worker.spans import Source

#: Bytes from which on a binary string stays in the file and only its place is kept.
LAZY = 4096
#: Bytes of the longest line (GLOBAL, STRING, INT and other text opcodes).
MAX_LINE = 16 << 20
#: Values that a dict key or set element may consist of: hashing a tuple visits each of them.
MAX_KEY = 10_000

_UNHASHABLE = (list, dict, set, bytearray)
_PLAIN_KEYS = frozenset({str, int, float, bool, bytes, complex, type(None)})
_NO_METHOD = (str, bytes, int, float, complex, tuple, list, dict, set, frozenset, type(None))


class Budget:
    """What all streams of one file may use together."""

    __slots__ = ("containers", "memo", "opcodes", "text")

    def __init__(
        self,
        opcodes: int = 20_000_000,
        containers: int = 4_000_000,
        memo: int = 8_000_000,
        text: int = 256 << 20,
    ) -> None:
        self.opcodes = opcodes
        self.containers = containers
        self.memo = memo
        #: Bytes of strings that are held in memory.
        self.text = text


class World(Protocol):
    """What a machine asks when a stream reaches out. `at` is the offset of the opcode in the stream."""

    def begins(self, base: int | None) -> int | None:
        """A stream begins at that byte of the file, or ends and another goes on. None: the stream's bytes are
        packed in the file. Gives what held before."""

    def find(self, module: str, name: str, opcode: str, offset: int, *, old: bool) -> object:
        """What stands for a global. old: Python 2's names are meant (protocol below 3)."""

    def extension(self, code: int, opcode: str, offset: int) -> object:
        """What stands for a global of the extension registry."""

    def call(
        self, func: object, args: tuple[object, ...], kwargs: object, opcode: str, offset: int
    ) -> object:
        """What stands for the result of a call."""

    def build(self, target: object, state: object, offset: int) -> object:
        """What stands for an object that was given state: the object itself, nearly always."""

    def add(self, target: object, items: list[object], opcode: str, offset: int) -> None:
        """Take note of items given to something that is no list or set."""

    def set(
        self, target: object, pairs: list[tuple[object, object]], opcode: str, offset: int
    ) -> None:
        """Take note of items set on something that is no dict."""

    def key(self, value: object, opcode: str, offset: int) -> None:
        """Take note of something other than plain data that is hashed: as a key or in a set."""

    def target(self, name: object, offset: int) -> None:
        """Take note of what stands under a key by which a library names what it calls."""

    def settle(self) -> None:
        """Look at what objects hold, now that the stream gives them nothing more."""

    def persistent(self, pid: object, opcode: str, offset: int) -> object:
        """What stands for a persistent id."""


class MalformedError(RefusedError):
    """CPython would not read the stream either."""


class State:
    """The streams that lie in source[start:end], read one after the other, and what they made so far."""

    def __init__(self, source: Source, start: int, end: int, world: World, budget: Budget) -> None:
        self.source = source
        self.buffer: mmap.mmap | bytes = source.buffer()
        self.end = end
        #: Where the next opcode lies in the source.
        self.position = start
        self.world = world
        self.budget = budget
        self.begin = start
        self.opcode_at = start
        self.proto = 0
        self.stack: list[object] = []
        self.marks: list[list[object]] = []
        self.memo: dict[int, object] = {}

    @property
    def offset(self) -> int:
        """The offset of the current opcode in its stream."""
        return self.opcode_at - self.begin

    def malformed(self, what: str) -> MalformedError:
        """The error that says where the current opcode lies."""
        return MalformedError(f"the pickle is malformed at byte {self.offset}: {what}")

    # Reading

    def take(self, length: int) -> bytes:
        """The next bytes. EOF is an error, as in _Unpickler_Read."""
        position = self.position
        after = position + length
        if after > self.end:
            raise self.malformed("the data ends in the middle of an opcode")
        self.position = after
        return self.buffer[position:after]

    def unsigned(self, size: int) -> int:
        """The next `size` bytes as a little-endian number."""
        return int.from_bytes(self.take(size), "little")

    def line(self, least: int = 2) -> bytes:
        """The next line with its newline, or the rest (_Unpickler_Readline); `least` as bad_readline."""
        position = self.position
        found = self.buffer.find(b"\n", position, min(self.end, position + MAX_LINE))
        if found < 0 and self.end - position > MAX_LINE:
            # CPython reads on: this is a bound of ours, and no end of the pickle.
            raise bomb(f"the pickle has a line of more than {MAX_LINE} bytes")
        after = self.end if found < 0 else found + 1
        if after - position < least:
            raise self.malformed("a line ends too early")
        self.position = after
        return self.buffer[position:after]

    def charge_text(self, length: int) -> None:
        self.budget.text -= length
        if self.budget.text < 0:
            raise bomb("the pickle holds more text than fits in memory")

    def take_text(self, length: int) -> bytes:
        """The next bytes, for a string that is held in memory."""
        if self.position + length <= self.end:  # else it is cut off, and no bomb
            self.charge_text(length)
        return self.take(length)

    def binary(self, length: int) -> bytes | Span:
        """Bytes: in memory when short, else where they lie."""
        if length <= LAZY:
            return self.take(length)
        if self.position + length > self.end:
            raise self.malformed("the data ends in the middle of an opcode")
        span = Span(self.source, self.position, length)
        self.position += length
        return span

    def text(self, length: int) -> str:
        try:
            return self.take_text(length).decode("utf-8", "surrogatepass")
        except UnicodeDecodeError as error:
            raise self.malformed(f"a string is not UTF-8 ({error.reason})") from None

    def push_container(self, value: object) -> None:
        self.charge_container()
        self.stack.append(value)

    def charge_container(self) -> None:
        self.budget.containers -= 1
        if self.budget.containers < 0:
            raise bomb("the pickle holds more containers than fit in memory")

    # The stack

    def pop_mark(self) -> list[object]:
        """The items above the last mark, which is taken away."""
        if not self.marks:
            raise self.malformed("there is no mark")
        items = self.stack
        self.stack = self.marks.pop()
        return items

    def key(self, value: object) -> object:
        """The value if CPython could hash it and it is cheap to, for a dict key or set element.

        Everything but data is hashed by identity here: that the real thing may do more is the world's to note.
        """
        if type(value) is str or type(value) is int:
            return value
        left, queue = MAX_KEY, [value]
        while queue:
            item = queue.pop()
            if isinstance(item, (tuple, frozenset)):
                # With multiplicity: a tuple of shared tuples is hashed once for each path.
                left -= len(item)
                if left < 0:
                    raise bomb(f"a dict key of the pickle has more than {MAX_KEY} parts")
                queue.extend(item)
            elif isinstance(item, _UNHASHABLE):
                raise self.malformed(f"a {type(item).__name__} cannot be a dict key or set element")
            elif type(item) not in _PLAIN_KEYS:
                self.world.key(item, "key", self.offset)
        return value

    def set_items(self, target: object, items: list[object], opcode: str) -> None:
        if len(items) % 2:
            raise self.malformed(f"an odd number of items for {opcode}")
        if isinstance(target, dict):
            key = self.key
            for index in range(0, len(items), 2):
                target[key(items[index])] = items[index + 1]
            if "_target_" in target:
                self.world.target(target["_target_"], self.offset)
            if (
                "target" in target and "params" in target
            ):  # latent-diffusion's instantiate_from_config
                self.world.target(target["target"], self.offset)
        elif items and isinstance(target, (list, bytearray)):
            store = target.__setitem__
            for place, value in zip(items[::2], items[1::2], strict=True):
                try:
                    store(place, value)  # type: ignore[call-overload]
                except (IndexError, TypeError, ValueError) as error:
                    raise self.malformed(f"{error}") from None
        elif items:
            self.refuse_plain(target)
            pairs = list(zip(items[::2], items[1::2], strict=True))
            self.world.set(target, pairs, opcode, self.offset)

    def refuse_plain(self, target: object) -> None:
        """Raises for data that has no such method in Python either."""
        if isinstance(target, _NO_METHOD):
            raise self.malformed(f"items for a {type(target).__name__}")

    def remember(self, index: int) -> None:
        if index not in self.memo:
            self.budget.memo -= 1
            if self.budget.memo < 0:
                raise bomb("the pickle remembers more values than fit in memory")
        self.memo[index] = self.stack[-1]

    def recall(self, index: int) -> None:
        try:
            self.stack.append(self.memo[index])
        except KeyError:
            raise self.malformed(f"there is no memo {index}") from None

    def integer(self, text: bytes, base: int) -> int:
        """PyLong_FromString: up to the first NUL, Python's own rules."""
        try:
            return int(text.partition(b"\0")[0], base)
        except ValueError:
            raise self.malformed("a number does not read as an integer") from None

    def ascii(self, line: bytes) -> str:
        # CPython cuts the last byte whether or not it is a newline.
        try:
            return line[:-1].decode("ascii")
        except UnicodeDecodeError:
            raise self.malformed("a name is not ASCII") from None
