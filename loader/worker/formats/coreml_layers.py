"""What a Core ML model asks for elsewhere: classes of the program that loads it, and other models. Zone: worker.

mlmodel/format/Model.proto and NeuralNetwork.proto of coremltools. A pipeline is a list of models, and a layer of a network may
hold networks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from safe_load.worker.formats import nested, pickles
from safe_load.worker.formats.cursor import Cursor
from safe_load.worker.refusal import RefusedError, bomb

if TYPE_CHECKING:
    from collections.abc import Iterator

    from safe_load.worker.formats.interface import File, Reading

MAX_FIELDS = 10_000_000
MAX_DEPTH = 32
#: Bytes of a text of a model's metadata that are looked at.
MAX_METADATA = 1 << 20
_WIRE = {1: 8, 5: 4}
#: Fields of Model: version, description, whether it can be updated, and one for each kind of model.
PROGRAM, _CUSTOM, _LINKED, _SERIALIZED = 502, 555, 556, 3000
KINDS = frozenset(
    (
        *(200, 201, 202, 300, 301, 302, 303, 304, 400, 401, 402, 403, 404, 500, 501, 502, 555, 556, 560),
        *(600, 601, 602, 603, 604, 606, 607, 609, 610, 900, *range(2000, 2010), 3000),
    )
)  # fmt: skip
_FIELDS = frozenset((1, 2, 10)) | KINDS
#: What leads to the values of the metadata that its author gave: description, metadata, entry, value.
_METADATA = (2, 100, 100, 2)
#: Kind -> the fields that lead to what it is made of: models of pipelines, layers of networks.
_MODELS = {200: (1, 1), 201: (1, 1), 202: (1,)}
_NETWORKS = (303, 403, 500)
_LAYERS, _CUSTOM_LAYER, _CLASS = 1, 500, 10
#: Field of a layer -> its fields that are networks: branches and loops.
_WITHIN = {605: (1, 2), 615: (3, 4)}


def look(file: File, reading: Reading) -> tuple[int, int, int]:
    """The kind of a model, and where its bytes begin and end. Layers of other classes are told. Raises RefusedError
    for a model that lies elsewhere, alone or in a pipeline."""
    left = [MAX_FIELDS]
    for start, end in _below(file, 0, file.size, _METADATA, left):
        # Of these, programs evaluate some (ultralytics, to 8.3).
        text = file.read(start, min(end - start, MAX_METADATA)).decode("utf-8", "replace")
        nested.judge(text, reading, pickles.second_look)
    tops = _kinds(file, 0, file.size, left)
    todo = [(*each, 0) for each in tops]
    while todo:
        kind, begin, end, depth = todo.pop()
        if depth > MAX_DEPTH:
            raise bomb(f"models in it are nested more than {MAX_DEPTH} deep")
        if kind in _NETWORKS:
            _network(file, reading, begin, end, left)
        for at, until in _below(file, begin, end, _MODELS.get(kind, ()), left):
            todo += [(*each, depth + 1) for each in _kinds(file, at, until, left)]
    return tops[-1] if tops else (0, 0, 0)


def _kinds(file: File, begin: int, end: int, left: list[int]) -> list[tuple[int, int, int]]:
    """Each kind that a model says to be. Readers put messages of one field together, and take the last kind."""
    found = []
    for number, start, length in fields(Cursor(file, begin, end), left):
        if number not in _FIELDS:
            raise RefusedError(f"the field {number} before byte {start} is unknown")
        if number in (_CUSTOM, _LINKED, _SERIALIZED):
            raise RefusedError("it stands for a model or a class that lies elsewhere")
        if number in KINDS:
            found.append((number, start, start + length))
    return found


def _below(
    file: File, begin: int, end: int, path: tuple[int, ...], left: list[int]
) -> Iterator[tuple[int, int]]:
    """Where the messages lie to which these numbers of fields lead, one within the other."""
    if not path:
        return
    for number, start, length in fields(Cursor(file, begin, end), left):
        if number == path[0] and len(path) == 1:
            yield start, start + length
        elif number == path[0]:
            yield from _below(file, start, start + length, path[1:], left)


def _network(file: File, reading: Reading, begin: int, end: int, left: list[int]) -> None:
    todo = [(begin, end, 0)]
    while todo:
        at, until, depth = todo.pop()
        if depth > MAX_DEPTH:
            raise bomb(f"networks in it are nested more than {MAX_DEPTH} deep")
        for layer, layer_end in _below(file, at, until, (_LAYERS,), left):
            for number, start, length in fields(Cursor(file, layer, layer_end), left):
                if number == _CUSTOM_LAYER:
                    _custom(file, reading, start, start + length, left)
                for inner in _WITHIN.get(number, ()):
                    found = _below(file, start, start + length, (inner,), left)
                    todo += [(*place, depth + 1) for place in found]


def _custom(file: File, reading: Reading, begin: int, end: int, left: list[int]) -> None:
    for start, after in _below(file, begin, end, (_CLASS,), left):
        name = file.read(start, min(after - start, 200)).decode("utf-8", "replace")
        reading.carries("SL506", f"has a layer of the class {name!a} of the program that loads it")


def fields(cursor: Cursor, left: list[int]) -> Iterator[tuple[int, int, int]]:
    """The fields of a message: number, where its bytes begin and how many there are; of a whole number, its value
    and 0. left: how many fields may still be read."""
    while not cursor.done:
        left[0] -= 1
        if left[0] < 0:
            raise bomb(f"the file holds more than {MAX_FIELDS} fields")
        key = cursor.varint()
        number, wire = key >> 3, key & 7
        if wire == 0:
            yield number, cursor.varint(), 0
        elif wire == 2:
            length = cursor.varint()
            start = cursor.position
            cursor.skip(length)
            yield number, start, length
        elif wire in _WIRE:
            cursor.skip(_WIRE[wire])
        else:
            raise RefusedError(
                f"the field {number} before byte {cursor.position} is of no known kind"
            )
