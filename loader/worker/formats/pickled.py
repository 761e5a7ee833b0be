"""Read whatever torch.load and pickle.load would unpickle, into inert values. Zone: worker.

Three containers: torch's zip, torch's streams of before 1.6 one after the other, and a bare
pickle. Each may hold another one, in the bytes given to torch.storage._load_from_bytes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from safe_load.worker.formats.zip_archive import Archive
from safe_load.worker.pickle_vm import native_tensors
from safe_load.worker.pickle_vm.arguments import fields, integer, need
from safe_load.worker.pickle_vm.builders import UnexpectedArgument, storage_dtype
from safe_load.worker.pickle_vm.machine import Machine
from safe_load.worker.pickle_vm.state import Budget, MalformedError
from safe_load.worker.pickle_vm.stubs import StubEnvironment
from safe_load.worker.pickle_vm.values import Storage, StorageView
from safe_load.worker.refusal import RefusedError
from safe_load.worker.spans import Span, as_span

if TYPE_CHECKING:
    from safe_load.worker.formats.zip_archive import Member
    from safe_load.worker.pickle_vm.callables import Ledger

#: torch.serialization.MAGIC_NUMBER and PROTOCOL_VERSION.
MAGIC = 0x1950A86A20F9469CFC6C
PROTOCOL = 1001
#: Checkpoints within checkpoints.
MAX_NESTING = 4
#: Streams after the one that is loaded that are told of.
MAX_NOTED = 100
_ZIP = b"PK\3\4"


class Reader:
    """Reads one file. format: as the bytes say, known after `read`.

    notes: facts for people; defects: sentences that say why it must not be extracted although it
    could be read.
    """

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.budget = Budget()
        self.format = "pickle"
        self.notes: list[str] = []
        self.defects: list[str] = []
        #: Members of archives that are no storage of a tensor and were not read as pickles to their end.
        self.others: list[tuple[Archive, Member]] = []
        #: What follows a pickle and is no other one.
        self.behind: list[Span] = []
        self._nesting = 0

    def read(self, span: Span) -> object:
        """What unpickling the bytes amounts to. Raises RefusedError."""
        zipped = bytes(span.read(0, min(4, span.length))) == _ZIP
        value = self._read_zip(span) if zipped else self._read_streams(span)
        if not self._nesting:
            for sparse, member, offset in self.ledger.sparse:
                if not native_tensors.keeps_within(sparse):
                    self.ledger.member = member
                    self.ledger.called(*sparse.made[:1], "REDUCE", offset, sparse.made[1], "native")
        return value

    def _nested(self, data: object) -> object:
        """torch.storage._load_from_bytes."""
        span = as_span(data)
        if span is None:
            raise UnexpectedArgument
        if self._nesting >= MAX_NESTING:
            raise RefusedError(f"checkpoints are nested more than {MAX_NESTING} deep in each other")
        outer = self.format, self.ledger.member
        self._nesting += 1
        self.ledger.member = f"{outer[1]}[bytes at {span.offset}]".removeprefix(".")
        try:
            return self.read(span)
        finally:
            self._nesting -= 1
            self.format, self.ledger.member = outer

    def _machine(self, span: Span, world: StubEnvironment) -> Machine:
        machine = Machine(span.source, span.offset, span.offset + span.length, world, self.budget)
        world.machine = machine
        return machine

    def _follow(self, machine: Machine) -> None:
        """Look through the streams that follow one that was loaded. Nothing is made of them.

        What does not parse to its end is no stream but other data, unless it has called something. Any
        other refusal is a bound of ours: whoever unpickles would go on.
        """
        found = 0
        while machine.position < machine.end:
            mark = self.ledger.mark()
            try:
                machine.load()
            except MalformedError:
                self.ledger.forget_names(mark)
                self.notes.append(f"{machine.end - machine.begin} bytes follow the pickle")
                if len(self.behind) < MAX_NOTED:
                    self.behind.append(
                        Span(machine.source, machine.begin, machine.end - machine.begin)
                    )
                return
            found += 1
            if found <= MAX_NOTED:
                self.notes.append(f"a second pickle follows at byte {machine.begin}")

    # Streams

    def _read_streams(self, span: Span) -> object:
        storages: dict[object, Storage] = {}
        views: dict[object, StorageView] = {}

        def persistent(pid: object) -> object:
            kind, cls, key, place, count, view = fields(pid, 2, 6)
            if _text(kind) == "module":  # a class, with its source, which torch only compares
                return cls
            need(_text(kind) == "storage")
            key = _key(key)
            storage = storages.get(key)
            if storage is None:
                dtype = storage_dtype(cls)
                nbytes = integer(count) * dtype.size
                storage = storages[key] = Storage(dtype, nbytes, None, location=_text(place))
            if view is None:
                return storage
            view_key, offset, size = fields(view, 3, 3)
            width = storage_dtype(cls).size
            return views.setdefault(
                _key(view_key),
                StorageView(
                    storage, storage_dtype(cls), integer(offset) * width, integer(size) * width
                ),
            )

        first_world = StubEnvironment(self.ledger, nested=self._nested)
        machine = self._machine(span, first_world)
        value = machine.load()
        if type(value) is not int or value != MAGIC:
            self._follow(machine)
            return value
        self.format = "torch-legacy"
        protocol, system = machine.load(), machine.load()
        if protocol != PROTOCOL:
            raise RefusedError(
                "the file begins as a torch file, but has a protocol number that torch never wrote"
            )
        if isinstance(system, dict) and system.get("little_endian") is False:
            raise RefusedError(
                "the file was written on a big-endian machine, and torch cannot read it back"
            )
        machine.world = StubEnvironment(
            self.ledger, persistent_load=persistent, nested=self._nested
        )
        value = machine.load()
        machine.world = first_world
        keys = machine.load()
        if not isinstance(keys, list):
            raise RefusedError("the list of storages is missing")
        self._place(machine, keys, storages)
        self._follow(machine)
        return value

    def _place(self, machine: Machine, keys: list[object], storages: dict[object, Storage]) -> None:
        """Find the bytes of each storage: a count of elements, then the elements."""
        for key in keys:
            storage = storages.get(key) if isinstance(key, (str, int)) else None
            if storage is None or storage.span is not None:
                raise RefusedError("the list of storages does not fit the tensors")
            if machine.position + 8 + storage.size > machine.end:
                raise RefusedError(
                    f"the file is cut off: {storage.size} bytes of a tensor's data are missing at the end"
                )
            if machine.unsigned(8) * storage.dtype.size != storage.size:
                raise RefusedError("a storage has another size than its tensors say")
            storage.span = Span(machine.source, machine.position, storage.size)
            machine.position += storage.size

    # Zip

    def _read_zip(self, span: Span) -> object:
        archive = Archive(span)
        self.defects += archive.defects
        first = archive.members[0].name if archive.members else ""
        folder = first.partition("/")[0]
        main = archive.find(f"{folder}/data.pkl") if "/" in first else None
        if main is not None:
            script = archive.find(f"{folder}/constants.pkl") is not None
            self.format = "torchscript" if script else "torch-zip"
            self.ledger.script = self.ledger.script or script
        outer = self.ledger.member
        #: Where the members begin that are read as pickles, or are a storage's.
        known: set[int] = set()
        try:
            for member in archive.members:
                if member is not main and self._look_into(archive, member, folder, known):
                    known.add(member.begin)
            if main is None:
                raise RefusedError(_what_zip(archive))
            self.ledger.member = outer + main.name
            value = self._read_member(archive, main, folder, "data", known)
        finally:
            self.ledger.member = outer
        known.add(main.begin)
        self.others += [
            (archive, member)
            for member in archive.members
            if member.size and member.begin not in known
        ]
        return value

    def _look_into(self, archive: Archive, member: Member, folder: str, known: set[int]) -> bool:
        """Record what a further pickle of the archive names; nothing is made of it. Whether it was read to
        its end."""
        lower = member.name.lower()
        if not member.size or lower.startswith(
            (f"{folder}/data/".lower(), f"{folder}/constants/".lower())
        ):
            return False
        self.ledger.member = member.name
        pickled = lower.endswith((".pkl", ".pickle"))
        mark = self.ledger.mark()
        try:
            content = archive.bytes_of(member)
            if pickled or bytes(content.read(0, 1)) == b"\x80":
                prefix = "constants" if lower.endswith("constants.pkl") else "data"
                self._read_member(archive, member, folder, prefix, known)
                return True
        except RefusedError as refusal:
            if refusal.status == "bomb":
                raise
            if not pickled:
                self.ledger.forget_names(mark)
            self.notes.append(f"{member.name[:200]!a}: {refusal.reason}")
        return False

    def _read_member(
        self, archive: Archive, member: Member, folder: str, prefix: str, known: set[int]
    ) -> object:
        swapped = _swapped(archive, folder)
        storages: dict[object, Storage] = {}

        def persistent(pid: object) -> object:
            kind, cls, key, location, count = fields(pid, 5, 5)
            need(_text(kind) == "storage")
            key = _key(key)
            if key in storages:
                return storages[key]
            dtype = storage_dtype(cls)
            size = integer(count) * dtype.size
            place = archive.find(f"{folder}/{prefix}/{key}")
            if place is None:
                raise RefusedError(f"the storage {ascii(key)[:200]} is missing from the archive")
            content = archive.bytes_of(place)
            if content.length < size:
                raise RefusedError(
                    f"the storage {ascii(key)[:200]} holds {content.length} bytes, its tensors say {size}"
                )
            swap = swapped and dtype.swap > 1
            storage = Storage(dtype, size, content, swapped=swap, location=_text(location))
            if size:
                storages[key] = storage
            if content.length == size:
                known.add(place.begin)
            return storage

        world = StubEnvironment(self.ledger, persistent_load=persistent, nested=self._nested)
        machine = self._machine(archive.bytes_of(member), world)
        value = machine.load()
        self._follow(machine)
        return value


def _text(value: object) -> object:
    """torch._utils._maybe_decode_ascii."""
    return value.decode("ascii", "replace") if isinstance(value, bytes) else value


def _key(value: object) -> str | int:
    value = _text(value)
    need(type(value) in {str, int})
    return value  # type: ignore[return-value]


def _swapped(archive: Archive, folder: str) -> bool:
    """True when the storages are big-endian."""
    member = archive.find(f"{folder}/byteorder")
    if member is None:
        return False
    content = archive.bytes_of(member)
    order = bytes(content.read(0, min(16, content.length)))
    if order not in {b"little", b"big"}:
        raise RefusedError(f"the byte order is {order!a}, which is neither little nor big")
    return order == b"big"


def _what_zip(archive: Archive) -> str:
    """Why a zip without a data.pkl is none of torch's."""
    names = {member.name for member in archive.members}
    if "config.json" in names and any(name.endswith(".weights.h5") for name in names):
        return "it is a Keras 3 model, whose layers are code, and safe-load does not read the HDF5 weights in it; use safetensors"
    if names and all(name.endswith(".npy") for name in names):
        return "it is a numpy .npz archive; save its arrays with safetensors instead"
    if any(name.endswith((".pt2", "/archive_format", "/models/model.json")) for name in names):
        return "it is an exported torch program (.pt2), not a checkpoint"
    return "it is a zip archive without the data.pkl of a torch checkpoint"
