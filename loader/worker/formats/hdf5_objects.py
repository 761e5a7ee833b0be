"""The objects of an HDF5 file: groups, datasets and attributes, by their paths; and other files that it reads.

Zone: worker. HDF5 File Format Specification 3.0, IV.A: object headers of versions 1 and 2, groups by symbol tables
and by links. A reader of the file follows these; nothing of the numbers is read here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from safe_load.worker.formats import hdf5_virtual
from safe_load.worker.refusal import RefusedError, bomb

if TYPE_CHECKING:
    from collections.abc import Iterator

    from safe_load.worker.formats.interface import File

MAX_PARTS = 1_000_000
MAX_NAME = 1000
MAX_ATTRIBUTE = 64 << 20
NOWHERE = (1 << 64) - 1
SPACE, LINK_INFO, TYPE, FILL, LINK, EXTERNAL, LAYOUT = 0x01, 0x02, 0x03, 0x05, 0x06, 0x07, 0x08
FILTERS, ATTRIBUTE, CONTINUED, TABLE, ATTRIBUTE_INFO = 0x0B, 0x0C, 0x10, 0x11, 0x15
VIRTUAL = 3
_SOFT_LINK, _EXTERNAL_LINK = 1, 64
_CACHED_SOFT_LINK = 2
_STRING, _VARIABLE = 3, 9


@dataclass
class Dataset:
    """An object with numbers or text. messages: kind -> content, of those that say what it holds."""

    path: str
    messages: dict[int, bytes] = field(default_factory=dict)


class Objects:
    """One walk over all objects of a file.

    datasets: in the order of their paths; found: a sentence without its subject for each way in which the file reads
    another one; attributes: (path, name) -> text, of those attributes that are one text; unread: why attributes are
    there that were not looked at, or "".
    Raises RefusedError where groups are kept in a way that is not read here, or are damaged.
    """

    def __init__(self, file: File) -> None:
        self.file = file
        self.datasets: list[Dataset] = []
        self.found: list[str] = []
        self.attributes: dict[tuple[str, str], bytes] = {}
        self.unread = ""
        self._todo: list[tuple[str, int]] = []
        self._seen: set[int] = set()
        self._left = MAX_PARTS
        self._texts_left = MAX_ATTRIBUTE
        try:
            self._run(_root(file))
        except IndexError:
            raise RefusedError("a message of one of its objects is too short") from None
        self.found = list(dict.fromkeys(self.found))
        self.datasets.sort(key=lambda each: each.path)

    def number(self, at: int, size: int = 8) -> int:
        """A number of the file. Raises RefusedError beyond its end."""
        return int.from_bytes(self.file.read(at, size), "little")

    def spend(self) -> None:
        """One more part. Raises RefusedError beyond the bound."""
        self._left -= 1
        if self._left < 0:
            raise bomb(f"it holds more than {MAX_PARTS} parts")

    def _run(self, root: int) -> None:
        self._todo.append(("", root))
        while self._todo:
            path, address = self._todo.pop()
            if address != NOWHERE and address not in self._seen:
                self._seen.add(address)
                this = Dataset(path)
                for kind, data in self._messages(address):
                    self._message(this, kind, data)
                if {SPACE, TYPE, LAYOUT} <= this.messages.keys():
                    self.datasets.append(this)

    def _messages(self, address: int) -> Iterator[tuple[int, bytes]]:
        """The messages of an object's header: kind and content."""
        if self.file.read(address, 4) == b"OHDR":
            flags = self.file.read(address + 5, 1)[0]
            begin = address + 6 + (16 if flags & 0x20 else 0) + (4 if flags & 0x10 else 0)
            size = 1 << (flags & 3)
            blocks = [(begin + size, self.number(begin, size))]
            head = 6 if flags & 4 else 4
        else:
            if self.file.read(address, 1) != b"\x01":
                raise RefusedError(f"there is no header of an object at byte {address}")
            blocks = [(address + 16, self.number(address + 8, 4))]
            flags, head = 0, 0
        while blocks:
            begin, length = blocks.pop()
            at, end = begin, begin + length
            while at + (head or 8) <= end:
                self.spend()
                if head:
                    kind, size, marks = self.number(at, 1), self.number(at + 1, 2), at + 3
                    at += head
                else:
                    kind, size, marks = self.number(at, 2), self.number(at + 2, 2), at + 4
                    at += 8
                data = self.file.read(at, size)
                at += size
                if kind == CONTINUED:
                    place, size = (
                        int.from_bytes(data[:8], "little"),
                        int.from_bytes(data[8:16], "little"),
                    )
                    # Of version 2, a block has a name before it and a checksum behind.
                    blocks.append((place + 4, size - 8) if head else (place, size))
                elif kind in (TYPE, FILL, FILTERS) and self.number(marks, 1) & 2:
                    raise RefusedError("an object shares a message with others, which is not read")
                else:
                    yield kind, data

    def _message(self, this: Dataset, kind: int, data: bytes) -> None:
        if kind == LINK:
            self._link(this.path, data)
        elif kind == LINK_INFO:
            at = 2 + (8 if data[1] & 1 else 0)
            if int.from_bytes(data[at : at + 8], "little") != NOWHERE:
                raise RefusedError(
                    "it is an HDF5 file with large groups of the newer kind, which are not read here"
                )
        elif kind == ATTRIBUTE:
            self._attribute(this.path, data)
        elif kind == ATTRIBUTE_INFO:
            at = 2 + (2 if data[1] & 1 else 0)
            if int.from_bytes(data[at : at + 8], "little") != NOWHERE:
                self.unread = "it keeps attributes in the newer way, which is not read here"
        elif kind == EXTERNAL:
            self.found.append("keeps numbers in other files, which its reader opens")
        elif kind in (SPACE, TYPE, FILL, LAYOUT, FILTERS):
            if kind == LAYOUT and data[0] >= 3 and data[1] == VIRTUAL:
                place, index = (
                    int.from_bytes(data[2:10], "little"),
                    int.from_bytes(data[10:14], "little"),
                )
                block = self._from_heap(place, index) if place != NOWHERE else bytes(9)
                if not hdf5_virtual.is_of_this_file(block):
                    self.found.append("takes numbers from datasets of other files")
            this.messages[kind] = data
        elif kind == TABLE:
            tree, heap = (int.from_bytes(data[i : i + 8], "little") for i in (0, 8))
            self._tree(this.path, tree, heap)

    def _link(self, path: str, data: bytes) -> None:
        flags, at = data[1], 2
        kind = data[at] if flags & 8 else 0
        at += (1 if flags & 8 else 0) + (8 if flags & 4 else 0) + (1 if flags & 16 else 0)
        size = 1 << (flags & 3)
        length = int.from_bytes(data[at : at + size], "little")
        name = data[at + size : at + size + length]
        at += size + length
        if kind == 0:
            self._add(path, name, int.from_bytes(data[at : at + 8], "little"))
        elif kind == _EXTERNAL_LINK:
            self.found.append(f"links to the file {data[at + 3 :].partition(bytes(1))[0][:100]!a}")

    def _add(self, path: str, name: bytes, address: int) -> None:
        if len(path) + len(name) > MAX_NAME:
            raise RefusedError(f"an object has a path of more than {MAX_NAME} bytes")
        text = name.decode("utf-8", "replace")
        self._todo.append((f"{path}/{text}" if path else text, address))

    def _tree(self, path: str, root: int, heap: int) -> None:
        """A group's members, by the tree of its symbol table and the heap of their names."""
        if self.file.read(heap, 4) != b"HEAP":
            raise RefusedError(f"there is no heap of names at byte {heap}")
        names_end, names = self.number(heap + 8), self.number(heap + 24)
        todo = [root]
        while todo:
            self.spend()
            node = todo.pop()
            if node == NOWHERE or node in self._seen:
                continue
            self._seen.add(node)
            name, count = self.file.read(node, 4), self.number(node + 6, 2)
            if name == b"TREE" and self.file.read(node + 4, 1) == bytes(1):
                todo += [self.number(node + 32 + 16 * index) for index in range(count)]
            elif name == b"SNOD":
                for index in range(count):
                    self.spend()
                    at = node + 8 + 40 * index
                    if self.number(at + 16, 4) == _CACHED_SOFT_LINK:
                        continue
                    begin = names + self.number(at)
                    room = min(MAX_NAME, names + names_end - begin, self.file.size - begin)
                    text = self.file.read(begin, room).partition(b"\0")[0]
                    self._add(path, text, self.number(at + 8))
            else:
                raise RefusedError(f"there is no node of a group at byte {node}")

    def _attribute(self, path: str, data: bytes) -> None:
        """Keep it where it is one text."""
        version, flags = data[0], data[1]
        name_size, type_size, space_size = (
            int.from_bytes(data[i : i + 2], "little") for i in (2, 4, 6)
        )
        at = 9 if version == 3 else 8

        def part(size: int) -> bytes:
            nonlocal at
            begin = at
            at += -(-size // 8) * 8 if version == 1 else size
            return data[begin : begin + size]

        name, kind, space = part(name_size), part(type_size), part(space_size)
        if flags & 1 or not kind or (space[1] if space else 0):
            return  # a type of its own, or several values
        self._keep((path, name.rstrip(b"\0").decode("utf-8", "replace")), kind, data[at:])

    def _keep(self, key: tuple[str, str], kind: bytes, value: bytes) -> None:
        if kind[0] & 15 == _STRING:
            self.attributes[key] = value.rstrip(b"\0")
        elif kind[0] & 15 == _VARIABLE and kind[1] & 15 == 1:
            place, index = (
                int.from_bytes(value[4:12], "little"),
                int.from_bytes(value[12:16], "little"),
            )
            if place not in (0, NOWHERE):
                self.attributes[key] = self._from_heap(place, index).rstrip(b"\0")

    def _from_heap(self, at: int, index: int) -> bytes:
        """An object of a global heap."""
        if self.file.read(at, 4) != b"GCOL":
            raise RefusedError(f"there is no heap of texts at byte {at}")
        end, at = at + self.number(at + 8), at + 16
        while at + 16 <= end:
            self.spend()
            number, size = self.number(at, 2), self.number(at + 8)
            if number == index:
                self._texts_left -= size
                if self._texts_left < 0:
                    raise bomb(f"its attributes are texts of more than {MAX_ATTRIBUTE >> 20} MiB")
                return self.file.read(at + 16, size)
            if not number:
                break
            at += 16 + -(-size // 8) * 8
        raise RefusedError("a text of an attribute is missing")


def _root(file: File) -> int:
    """Where the root group's header lies."""
    version = file.read(8, 1)[0]
    if version in (0, 1):
        at = 24 + 4 * version
        sizes, base, root = file.read(13, 2), file.read(at, 8), file.read(at + 40, 8)
        end = file.read(at + 16, 8)
    elif version in (2, 3):
        sizes, base, root = file.read(9, 2), file.read(12, 8), file.read(36, 8)
        end = file.read(28, 8)
    else:
        raise RefusedError(f"it is of version {version} of HDF5, which is not known")
    if sizes != b"\x08\x08" or any(base):
        raise RefusedError("it is an HDF5 file with addresses of another kind than is read here")
    if int.from_bytes(end, "little") > file.size:
        raise RefusedError("it is cut off")
    return int.from_bytes(root, "little")
