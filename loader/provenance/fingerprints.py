"""The weights that were seen before: the same ones, or nearly, under another publisher's name.

Zone: controller. Of each model of a known publisher that ended without a finding, the SHA-256 of its weight files is kept,
and of each tensor the checksum of its sampled bytes and a few hundred of its values, as the extract room gave them. A checksum can
be forged, so equal ones are told as what they are; only equal files are a copy.

    fingerprints.sqlite  in the user's data folder: models, and their tensors by checksum
"""

from __future__ import annotations

import math
import sqlite3
import struct
from collections import Counter
from contextlib import closing
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Literal

from safe_load.advisories.store import folder
from safe_load.core.escape import visible
from safe_load.judge.behaviour import finding

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from safe_load.core.report import Finding, Source

NAME = "fingerprints.sqlite"
_VERSION = 1
#: Tensors of one model, and models, that are kept; candidates that are compared value by value.
MOST_TENSORS, _MOST_MODELS, _MOST_CANDIDATES = 5000, 2000, 8
_AT_ONCE = 400
_BUSY = 2.0  # seconds
#: Of the bytes of the tensors that can be compared, the part that must be equal or near; and how near values are.
_LEAST_ALIKE, _NEAR = 0.5, 0.999
#: Of a value, what another type may change by rounding, and below its smallest number.
_ROUNDING, _TINY = 2.0**-8, 1e-7
_FORMS = {"F32": "f", "F16": "e", "F64": "d"}
_TABLES = """
CREATE TABLE models (
    id INTEGER PRIMARY KEY, publisher TEXT NOT NULL, name TEXT NOT NULL, seen TEXT NOT NULL, files TEXT NOT NULL,
    shapes TEXT NOT NULL, UNIQUE (name, files));
CREATE INDEX by_shapes ON models (shapes);
CREATE TABLE tensors (
    crc INTEGER NOT NULL, bytes INTEGER NOT NULL, model INTEGER NOT NULL REFERENCES models ON DELETE CASCADE,
    name TEXT NOT NULL, dtype TEXT NOT NULL, sample BLOB NOT NULL,
    PRIMARY KEY (crc, bytes, model, name)) WITHOUT ROWID;
CREATE INDEX by_model ON tensors (model);
"""


@dataclass(frozen=True)
class Print:
    """One tensor. size: its bytes; crc: of its sampled bytes; sample: values of it, as they lie in the file."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    size: int
    crc: int
    sample: bytes = b""

    @property
    def plain(self) -> bool:
        """Whether it says nothing: all of its values are one, as a fresh layer's are."""
        values = _values(self.dtype, self.sample)
        return len(set(values)) < 2 if values else self.size < 64


@dataclass(frozen=True)
class Model:
    """What is compared. files: the SHA-256 of the weight files; prints: of its tensors."""

    files: tuple[str, ...]
    prints: tuple[Print, ...]

    @property
    def identity(self) -> str:
        """Of the weight files, whatever their names."""
        return sha256("\n".join(sorted(self.files)).encode()).hexdigest() if self.files else ""

    @property
    def shapes(self) -> str:
        """Of the tensors' shapes, whatever their names and types."""
        shapes = sorted(str(tuple(each.shape)) for each in self.prints)
        return sha256("\n".join(shapes).encode()).hexdigest()


Kind = Literal["files", "tensors", "converted", "nearly"]
_ORDER: tuple[Kind, ...] = ("files", "tensors", "converted", "nearly")


@dataclass(frozen=True)
class Match:
    """A model that was seen before. kind: "files": the same weight files; "tensors": each tensor has the same
    sampled bytes; "converted": each tensor is the other one in another type, by the sampled values; "nearly": most of it, and
    not all. changed: names of tensors that differ, the first of them."""

    publisher: str
    name: str
    seen: str
    kind: Kind
    alike: float
    changed: tuple[str, ...] = ()


def match(model: Model, publisher: str | None, place: Path | None = None) -> list[Match]:
    """The models of other publishers that this one is, or nearly is, the nearest first. [] where there is nothing
    to compare with, and where the same publisher had these files before. Raises sqlite3.Error, OSError."""
    place = place or folder() / NAME
    if not place.exists() or not model.prints:
        return []
    with closing(
        sqlite3.connect(f"{place.absolute().as_uri()}?mode=ro", uri=True, timeout=_BUSY)
    ) as base:
        if base.execute("PRAGMA user_version").fetchone()[0] != _VERSION:
            return []
        found = []
        for ident in _candidates(base, model):
            owner, name, seen, files = base.execute(
                "SELECT publisher, name, seen, files FROM models WHERE id = ?", (ident,)
            ).fetchone()
            mine = publisher is not None and owner.casefold() == publisher.casefold()
            if files == model.identity and files:
                if mine:
                    return []
                found.append(Match(owner, name, seen, "files", 1.0))
            elif not mine and (near := _compared(base, ident, model)) is not None:
                found.append(Match(owner, name, seen, *near))
    return sorted(found, key=lambda each: (_ORDER.index(each.kind), -each.alike, each.name))


def keep(model: Model, publisher: str, name: str, seen: str, place: Path | None = None) -> None:
    """Remember a model. name: with its commit; seen: UTC, ISO 8601. Raises sqlite3.Error, OSError."""
    place = place or folder() / NAME
    if not model.files or not model.prints:
        return
    place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with closing(sqlite3.connect(place, timeout=_BUSY, isolation_level=None)) as base:
        base.execute("PRAGMA foreign_keys = ON")
        base.execute("BEGIN IMMEDIATE")
        version = base.execute("PRAGMA user_version").fetchone()[0]
        if version == 0:
            for statement in _TABLES.split(";"):
                base.execute(statement)
            base.execute(f"PRAGMA user_version = {_VERSION}")
        elif version != _VERSION:
            return
        row = (publisher, name, seen, model.identity, model.shapes)
        done = base.execute(
            "INSERT OR IGNORE INTO models (publisher, name, seen, files, shapes) VALUES (?, ?, ?, ?, ?)",
            row,
        )
        if done.rowcount:
            base.executemany(
                "INSERT OR IGNORE INTO tensors VALUES (?, ?, ?, ?, ?, ?)",
                [
                    (each.crc, each.size, done.lastrowid, each.name, each.dtype, each.sample)
                    for each in model.prints[:MOST_TENSORS]
                ],
            )
            base.execute(
                "DELETE FROM models WHERE id NOT IN (SELECT id FROM models ORDER BY id DESC LIMIT ?)",
                (_MOST_MODELS,),
            )
        base.execute("COMMIT")


def judge(
    matches: Sequence[Match], source: Source, *, young: bool
) -> tuple[list[Finding], list[str]]:
    """What a match means: a finding for weights that are nearly another publisher's, a note for a copy."""
    if not matches:
        return [], []
    best = matches[0]
    whose = f"{visible(best.name)}, seen here on {best.seen[:10]}"
    if best.kind == "files":
        return [], [f"The weight files are byte for byte those of {whose}: a plain copy."]
    if best.kind == "tensors":
        return [], [
            f"Every tensor has the sampled bytes of {whose}: a copy in other files, as far as samples tell."
        ]
    if best.kind == "converted":
        return [], [f"Every tensor is one of {whose}, in another type, as far as samples tell."]
    some = ", ".join(visible(name, 80) for name in best.changed[:3])
    more = f" and {len(best.changed) - 3} more" if len(best.changed) > 3 else ""
    part = "All" if best.alike == 1 else f"{best.alike:.1%}"
    detail = (
        f"{part} of the weights are, or nearly are, those of {whose}, and these tensors differ: {some}{more}. A model that "
        "was edited to lie looks like this, and so does an honest change of a few layers."
    )
    if source.publisher is None:
        return [], [detail]
    doubted = young or source.vouched == "unknown"
    return [finding("SL707", detail, source.path, severity="medium" if doubted else "low")], []


def _candidates(base: sqlite3.Connection, model: Model) -> list[int]:
    """Models that share files, the shapes of all tensors, or many tensors."""
    counted: Counter[int] = Counter()
    rows = base.execute(
        "SELECT id FROM models WHERE files = ? OR shapes = ? ORDER BY id DESC LIMIT ?",
        (model.identity, model.shapes, _MOST_CANDIDATES),
    )
    first = [row[0] for row in rows]
    sizes = {(each.crc, each.size): each.size for each in model.prints if not each.plain}
    keys = list(sizes)
    for start in range(0, len(keys), _AT_ONCE):
        some = keys[start : start + _AT_ONCE]
        places = ", ".join(["(?, ?)"] * len(some))
        for ident, size in base.execute(
            f"SELECT model, SUM(bytes) FROM tensors WHERE (crc, bytes) IN (VALUES {places}) GROUP BY model",  # noqa: S608 - question marks only
            [number for pair in some for number in pair],
        ):
            counted[ident] += size
    shared = [ident for ident, _ in counted.most_common(_MOST_CANDIDATES)]
    return list(dict.fromkeys([*first, *shared]))


def _compared(
    base: sqlite3.Connection, ident: int, model: Model
) -> tuple[Kind, float, tuple[str, ...]] | None:
    """How two models are alike, the part of the bytes that is equal or near, and the tensors that are not equal; None
    for too little."""
    rows = base.execute(
        "SELECT crc, bytes, name, dtype, sample FROM tensors WHERE model = ?", (ident,)
    )
    theirs = rows.fetchall()
    equal = {(crc, size) for crc, size, *_ in theirs}
    named = {name: (dtype, sample) for _, _, name, dtype, sample in theirs}
    total = alike = 0
    changed, converted = [], True
    for each in model.prints[:MOST_TENSORS]:
        if each.plain:
            continue
        total += each.size
        if (each.crc, each.size) in equal:
            alike += each.size
            continue
        changed.append(each.name)
        dtype, sample = named.get(each.name, ("", b""))
        mine, other = _values(each.dtype, each.sample), _values(dtype, sample)
        alike += each.size if _near(mine, other) else 0
        converted = converted and each.dtype != dtype and _same_numbers(mine, other)
    if not total or alike / total < _LEAST_ALIKE:
        return None
    kind: Kind = "tensors" if not changed else "converted" if converted else "nearly"
    return kind, alike / total, tuple(changed)


def _same_numbers(mine: Sequence[float], theirs: Sequence[float]) -> bool:
    """Whether the values are the same but for the rounding of the narrowest type (bfloat16: 8 bits)."""
    return len(mine) == len(theirs) > 0 and all(
        abs(one - other) <= _ROUNDING * max(abs(one), abs(other)) + _TINY
        for one, other in zip(mine, theirs, strict=True)
    )


def _near(mine: Sequence[float], theirs: Sequence[float]) -> bool:
    """Whether two samples point in one direction: a rounding, a little noise or a few edits apart."""
    if len(mine) != len(theirs) or len(mine) < 2:
        return False
    product = (
        math.sumprod(mine, theirs) if hasattr(math, "sumprod") else sum(map(_times, mine, theirs))
    )
    lengths = math.hypot(*mine) * math.hypot(*theirs)
    return bool(lengths and math.isfinite(lengths) and product / lengths >= _NEAR)


def _times(one: float, other: float) -> float:
    return one * other


def _values(dtype: str, sample: bytes) -> tuple[float, ...]:
    """The sampled values; () for types whose values are not compared, and for values that are no numbers."""
    if dtype == "BF16":
        halves = struct.unpack(f"<{len(sample) // 2}H", sample[: len(sample) // 2 * 2])
        values = struct.unpack(
            f"<{len(halves)}f", struct.pack(f"<{len(halves)}I", *(h << 16 for h in halves))
        )
    elif dtype in _FORMS:
        size = struct.calcsize(_FORMS[dtype])
        count = len(sample) // size
        values = struct.unpack(f"<{count}{_FORMS[dtype]}", sample[: count * size])
    else:
        return ()
    return values if all(map(math.isfinite, values)) else ()
