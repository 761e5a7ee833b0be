"""The register as it stands in JSON (schema safe-load/chain/1), and the references that it is made of."""

from __future__ import annotations

from typing import Literal

import msgspec

SCHEMA = "safe-load/chain/1"
#: The register's own name in a project.
FILE_NAME = "safe-load.chain.json"

Kind = Literal["model", "host", "library", "tool"]
State = Literal["pinned", "floating", "unknown"]
KINDS: tuple[Kind, ...] = ("model", "host", "library", "tool")


class Pin(msgspec.Struct, frozen=True):
    """state: "pinned" where the value always names the same content, "floating" where it does not, "unknown" where
    the files do not tell. value: the revision, version, digest or range as written; None where none is."""

    state: State
    value: str | None = None


class Where(msgspec.Struct, frozen=True, order=True):
    """path: relative to the project, with "/"; line: from 1."""

    path: str
    line: int


class Row(msgspec.Struct, frozen=True, omit_defaults=True):
    """One link of the chain. rank: 1 is the link that is trusted least. fix: the line to paste, "" where none is due.
    offers: of an MCP server that was inspected, "tool NAME" -> the SHA-256 of its definition.

    publisher: the organisation, user or scope that the name carries. known: whether it is on a list of ours.
    """

    kind: Kind
    name: str
    publisher: str | None
    known: bool
    pin: Pin
    where: list[Where]
    reasons: list[str]
    fix: str
    rank: int
    offers: dict[str, str] = {}


class Chain(msgspec.Struct, frozen=True):
    """A register; the worst row stands first."""

    rows: list[Row]
    schema: str = SCHEMA

    def __post_init__(self) -> None:
        if self.schema != SCHEMA:
            raise ValueError(f"the schema is {self.schema[:60]!r}, and this version reads {SCHEMA}")


class Fact(msgspec.Struct, frozen=True):
    """What a reader noticed of a reference. code: what kind of fact, of `judge.WEIGHTS`. text: its words."""

    code: str
    text: str = ""


class Call(msgspec.Struct, frozen=True):
    """Where the revision of a call stands, or has to: bytes `start` to `end` of a line. text: what has to stand there,
    with PIN for the commit as a text; "" where nobody knows."""

    line: int
    start: int
    end: int
    text: str


class Reference(msgspec.Struct, frozen=True):
    """One place that names a link.

    ecosystem: whose names these are: "hub", "hosted", "ollama", "github", "url", "local", "pypi", "npm", "oci" or "".
    weak: a name that stands alone (a constant, a default), dropped where a call uses it. lock: what governs it: a lock
    file of this key may pin it ("" for none). call: of a call in Python. fix: the line to paste, with COMMIT or VERSION where none is known.
    """

    kind: Kind
    name: str
    line: int
    state: State = "unknown"
    value: str | None = None
    ecosystem: str = ""
    fix: str = ""
    facts: tuple[Fact, ...] = ()
    weak: bool = False
    lock: str = ""
    call: Call | None = None


class Locked(msgspec.Struct, frozen=True):
    """A version that a lock file holds. key: the lock's folder and ecosystem, as in Reference.lock."""

    key: str
    name: str
    version: str
    line: int
    hashed: bool = False


class Read(msgspec.Struct, frozen=True):
    """What one file gave. problem: why it was not read ("" if it was); limit: whether a limit was the reason."""

    path: str
    references: list[Reference] = []
    locked: list[Locked] = []
    problem: str = ""
    limit: bool = False
