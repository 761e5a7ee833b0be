"""What a format is: one module that knows one kind of file. Zone: worker, standard library only.

To add a format to safe-load, write a module in this folder with a class that inherits from `Format`, and
name an object of it in `registry.FORMATS`; nothing else knows of formats, and `make docs` writes it into
docs/formats.md. To add one from another package, install that package beside safe-load with an entry point:

    [project.entry-points."safe_load.formats"]
    myformat = "mypackage.myformat:MyFormat"

The value names such a class, or an object of one. The module is imported inside the room, before a byte of
the model is read, and only there; the room shows the package and what it requires. It may import this module,
`safe_load.worker.spans`, `safe_load.worker.refusal` and `safe_load.worker.tensors.places`. Formats of other
packages are asked after those of safe-load that know a file by its magic, and before those that guess.

Such a class

- **recognises** a file by its bytes, never by its name. `recognise` sees a `File`, of which
  `head` (the first 4096 bytes) costs nothing. The first format that says yes has the file;
- **reads** it: `read` returns a `Content`, or raises RefusedError with one sentence. It says in
  `Content.state` what came of it. "opened": everything in the file that could run was read, as
  the usual loaders read it. "data": a strict parse accounts for every byte, and none of them is
  ever code. "not_judged": neither; then `why` says the reason. A refusal is "not_judged" too;
- **yields tensors** lazily, as places of bytes and not as bytes: `places.tensor` makes one of an element type,
  a shape and a `Span` of the file, and `places.content` lays out a dict of them, nested if they are. The
  controller copies such bytes from the file into the export by itself. Where values must be computed, the
  span is one of a `Source` of its own (`computed = True`), whose `read` computes those bytes of the little-endian
  result that it is asked for, and keeps no more than a few megabytes. `Reading.wanted` says whether tensors are
  exported at all: without that, nothing is computed;
- **uses a library** only by `Reading.library(module, distribution)`, in `read` or later, and lists the distribution in
  `libraries`: the room shows it where it is installed, and a sentence with the pip command ends the file
  where it is not. A scan must not need it: what can run is found with the standard library;
- **names what can run**: calls of pickles are kept by `pickles.unpickle`, everything else by
  `Reading.carries(finding, sentence)`, at most one sentence for each kind of code. "SL502": code; "SL503": code or a package from elsewhere that it asks for; "SL504": a
  template that does more than build text; "SL505": something outside of the model's folder; "SL506": a program in
  the model's own format;
- **hands on what lies inside** by `Reading.judge(File)`: members of archives, unpacked streams and
  nested files are files like any other, and `members.members_of` does so for all of an archive and lays out their
  weights by one rule. Memory for unpacked bytes comes from `Reading.spend`;
- **names its neighbours**: a format whose numbers lie in other files says so by `Reading.claims` (their paths from
  its folder), and finds those that the inventory joined to it in `Reading.parts`;
- says in `loader` what a trusting user calls, in `opens` the same as "module:function", which the second room calls
  with the file's path where that module is there (of several, with spaces between, the first that is there), in `called` what the file is, in a noun phrase, and in `weights`
  and `hides` what docs/formats.md shall say of it.

Everything is hostile: check each length before it is used, recurse nowhere without a bound, and let no loop run
as often as a number of the file says unless bytes of the file pay for each turn.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal, Protocol

from safe_load.worker.key_links import READS_ONLY
from safe_load.worker.pickle_vm.callables import Ledger
from safe_load.worker.refusal import RefusedError, bomb
from safe_load.worker.tensors.export_names import Choice

if TYPE_CHECKING:
    from collections.abc import Callable

    from safe_load.worker.pickle_vm.callables import Allowlist
    from safe_load.worker.spans import Span
    from safe_load.worker.tensors.layout import Entry, Layout
    from safe_load.worker.tensors.structure import Whole

State = Literal["opened", "data", "not_judged"]
#: What a format may find besides calls of pickles; severities are the judge's.
Carried = Literal["SL502", "SL503", "SL504", "SL505", "SL506", "SL706"]

HEAD = 4096
#: Bytes that all compressed parts of one file may unpack to, in memory, and as a stream.
MAX_UNPACKED = 256 << 20
MAX_STREAMED = 64 << 30
#: Unpacked bytes for each packed one from which on more than MOST_UNSUSPECTED of them are a bomb.
MAX_RATIO = 300
MOST_UNSUSPECTED = 16 << 20
#: Files within files, and how deep.
MAX_FILES = 20_000
MAX_DEPTH = 4
#: Sentences of one finding, and of programs, which are mild: many of one kind hide none of another.
MAX_SENTENCES = 50
MAX_PROGRAMS = 1000
#: What helps where a library is missing.
INSTALL = "pip install 'safe-load[formats]'"


class LibraryError(RefusedError):
    """A library that a format's values take is not there."""


class File:
    """One file, or one file within another. name: relative path, for sentences; head: its beginning."""

    __slots__ = ("head", "name", "span")

    def __init__(self, name: str, span: Span) -> None:
        self.name = name
        self.span = span
        self.head = bytes(span.read(0, min(HEAD, span.length)))

    @property
    def size(self) -> int:
        """Bytes."""
        return self.span.length

    def read(self, offset: int, length: int) -> bytes:
        """Exactly those bytes. Raises RefusedError when they are not there."""
        if offset < 0 or length < 0 or offset + length > self.size:
            raise RefusedError(f"the file ends early: {length} bytes at byte {offset} are missing")
        return bytes(self.span.read(offset, length))


@dataclass
class Content:
    """What came of one file. format: a word for the report; why: one clause on its state; plan: its
    tensors; whole: all that it holds, where that is wanted; left: those that loading gives and that are
    not exported; loads: False for a format of which no weights are read here; lacks: why the weights do not
    come out although the file was judged, one clause; parts: of the other files that
    were read with it (Reading.parts), why not all of one was, "" where it was."""

    format: str
    state: State
    why: str = ""
    plan: Layout | None = None
    whole: Whole | None = None
    loads: bool = True
    lacks: str = ""
    left: list[Entry] = field(default_factory=list)
    parts: dict[str, str] = field(default_factory=dict)


class Format(Protocol):
    """One kind of file; see the module's docstring.

    name: a word for the report; called: a noun phrase; loader: what a trusting user calls; opens: the same
    as "module:function", or several of these; weights: what comes out, "" for nothing; hides: what of it can run or reach out, "" for
    nothing; libraries: distributions that reading its values takes; foreign: whether it is
    one of weights that neither torch nor pickle opens.
    """

    name: str
    called: str
    loader: str
    opens: str = ""
    weights: str = ""
    hides: str = ""
    libraries: tuple[str, ...] = ()
    foreign: bool = False

    def recognise(self, file: File) -> bool:
        """Whether the bytes are of this kind. Looks at a bounded part of the file."""
        raise NotImplementedError

    def read(self, file: File, reading: Reading) -> Content:
        """What the file holds. Raises RefusedError when it is malformed or beyond a bound."""
        raise NotImplementedError


@dataclass
class Reading:
    """The reading of one file of the source, with all that lies in it: bounds, and what was found.

    limit: bytes of tensors; wanted: whether its tensors are exported; whole: whether all that it holds is wanted, and not its tensors alone; choice:
    which tensors are exported, under which names; parts: the files that belong to this one, by their
    paths from its folder, None where it was given alone.
    """

    allowlist: Allowlist
    limit: int
    judge_with: Callable[[File, Reading], Content]
    whole: bool = False
    wanted: bool = False
    choice: Choice = field(default_factory=Choice)
    parts: dict[str, File] | None = None
    callables: list[dict[str, object]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    carried: list[tuple[Carried, str]] = field(default_factory=list)
    #: Names of files beside this one that hold its raw numbers.
    claims: list[str] = field(default_factory=list)
    #: The file within the file that is being read, "" for the file itself.
    member: str = ""
    depth: int = 0
    #: How many of the files around it are nothing but compressed.
    packed: int = 0
    dropped: int = 0
    #: How many of its values were read as pickles.
    pickles_within: int = 0
    #: The top-level packages that pickles in it name.
    packages: dict[str, None] = field(default_factory=dict)
    #: Bytes of the file itself.
    size: int = 0
    _told: dict[tuple[str, bool], int] = field(default_factory=dict)
    _unpacked: int = 0
    _kept: int = 0
    _files: int = 0

    def library(self, module: str, distribution: str) -> Any:
        """A module of an installed library, imported now. Raises RefusedError, which says what to install."""
        for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
            os.environ.setdefault(name, "1")  # the room counts threads as processes
        try:
            return import_module(module)
        except ImportError as error:
            missing = (
                isinstance(error, ModuleNotFoundError) and error.name == module.partition(".")[0]
            )
            what = "is not installed" if missing else f"cannot be imported ({str(error)[:100]})"
            raise LibraryError(
                f"reading its values takes {distribution}, which {what}: {INSTALL}"
            ) from None

    def ledger(self) -> Ledger:
        """A record for the calls of one stream; `keep` takes it over."""
        ledger = Ledger(self.allowlist)
        ledger.member = self.member
        return ledger

    def keep(self, ledger: Ledger) -> None:
        """Take a record over."""
        self.callables += ledger.entries()
        self.dropped += ledger.dropped
        self.packages |= ledger.packages

    def carries(self, finding: Carried, sentence: str) -> None:
        """The file holds something that can run, or that steers where it should not."""
        kind = finding, sentence.endswith(READS_ONLY)
        most = MAX_PROGRAMS if finding == "SL502" else MAX_SENTENCES
        if self._told.get(kind, 0) < most and (finding, sentence) not in self.carried:
            self._told[kind] = self._told.get(kind, 0) + 1
            self.carried.append((finding, sentence))

    def spend(self, unpacked: int, packed: int, *, streamed: bool = False) -> None:
        """Account for that many more unpacked bytes, of something of `packed` bytes. streamed: they are not
        kept in memory. Raises RefusedError."""
        packed = self.size or packed  # of all that is packed in each other, the outermost counts
        self._unpacked += unpacked
        if self._unpacked > max(MOST_UNSUSPECTED, MAX_RATIO * packed):
            raise bomb(f"{packed} packed bytes unpack to more than {MAX_RATIO} times as many")
        fits = streamed or self.keeps(unpacked)
        if not fits or self._unpacked > MAX_STREAMED:
            most = MAX_STREAMED if fits else MAX_UNPACKED
            raise RefusedError(
                f"the file unpacks to more than {most >> 20} MiB: unpack it yourself and scan the files"
            )

    def keeps(self, unpacked: int) -> bool:
        """Whether that many more bytes may be kept in memory; they are accounted for if so."""
        fits = self._kept + unpacked <= MAX_UNPACKED
        self._kept += unpacked if fits else 0
        return fits

    def judge(self, file: File) -> Content:
        """What a file within the file is. Raises RefusedError beyond a bound."""
        self._files += 1
        if self._files > MAX_FILES:
            raise bomb(f"the archive holds more than {MAX_FILES} files")
        if self.depth >= MAX_DEPTH:
            raise RefusedError(f"files are packed more than {MAX_DEPTH} deep in each other")
        outer = self.member
        self.depth += 1
        self.member = f"{outer}/{file.name}".removeprefix("/")
        try:
            return self.judge_with(file, self)
        finally:
            self.depth -= 1
            self.member = outer
