"""Weights in formats of their own, which loaders written in C++ read as numbers: fastText, CTranslate2, and the numbers of ONNX models that lie beside them. Zone: worker."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from safe_load.worker.formats import flatbuffer, pickles
from safe_load.worker.formats.cursor import Cursor
from safe_load.worker.formats.interface import Content, Format
from safe_load.worker.formats.texts import Text
from safe_load.worker.refusal import RefusedError

if TYPE_CHECKING:
    from safe_load.worker.formats.interface import File, Reading

MAX_ENTRIES = 20_000_000
MAX_WORD = 4096


class FastText(Format):
    """A model of fastText: arguments, a dictionary, two matrices (fasttext.cc, saveModel)."""

    name, called, loader = "fasttext", "a fastText model", "fasttext.load_model"

    def recognise(self, file: File) -> bool:
        """By its magic and version."""
        return file.head.startswith(b"\xba\x16\x4f\x2f") and file.head[4:8] in (
            b"\x0b\0\0\0",
            b"\x0c\0\0\0",
        )

    def read(self, file: File, reading: Reading) -> Content:  # noqa: ARG002 - a format's entry
        """Data, if its matrices end where it does."""
        cursor = Cursor(file, 8 + 4 * 12 + 8)
        entries = cursor.number(4)
        cursor.skip(4 + 4 + 8)
        pruned = cursor.number(8)
        if entries > MAX_ENTRIES:
            raise RefusedError(f"its dictionary says {entries} entries")
        for _ in range(entries):
            _word(cursor)
            cursor.skip(9)
        cursor.skip(0 if pruned == (1 << 64) - 1 else 8 * pruned)
        for _ in range(2):
            if cursor.number(1):
                raise RefusedError("its matrices are quantised, which is not read here")
            rows, columns = cursor.number(8), cursor.number(8)
            cursor.skip(4 * rows * columns)
        if not cursor.done:
            raise RefusedError(f"{cursor.end - cursor.position} bytes follow its end")
        return Content(self.name, "data", "a dictionary and two matrices", loads=False)


def _word(cursor: Cursor) -> None:
    for _ in range(MAX_WORD):
        if cursor.take(1) == b"\0":
            return
    raise RefusedError(f"a word before byte {cursor.position} is too long")


class CTranslate2(Format):
    """A model of CTranslate2: a name, then variables, then aliases (python/ctranslate2/specs/model_spec.py)."""

    name, called, loader = "ctranslate2", "a CTranslate2 model", "ctranslate2.Translator"

    def recognise(self, file: File) -> bool:
        """By the version of the format and the name of what it is made for."""
        head = file.head
        size = int.from_bytes(head[4:6], "little")
        name = head[6 : 6 + size]
        return (
            head[:4] in (bytes((version, 0, 0, 0)) for version in range(2, 10))
            and 4 < size < 100
            and name[-1:] == b"\0"
            and name[:-1].isalnum()
        )

    def read(self, file: File, reading: Reading) -> Content:  # noqa: ARG002 - a format's entry
        """Data, if its variables and aliases end where it does."""
        cursor = Cursor(file)
        version = cursor.number(4)
        self._text(cursor)
        cursor.skip(4)
        for _ in range(min(cursor.number(4), MAX_ENTRIES)):
            self._text(cursor)
            rank = cursor.number(1)
            cursor.skip(4 * rank)
            if version >= 4:
                cursor.skip(1)
                cursor.skip(cursor.number(4))
            else:
                width = cursor.number(1)
                cursor.skip(width * cursor.number(4))
        if version >= 3:
            for _ in range(min(cursor.number(4), MAX_ENTRIES)):
                self._text(cursor)
                self._text(cursor)
        if not cursor.done:
            raise RefusedError(f"{cursor.end - cursor.position} bytes follow its end")
        return Content(self.name, "data", "variables of CTranslate2 and nothing else", loads=False)

    @staticmethod
    def _text(cursor: Cursor) -> None:
        text = cursor.take(cursor.number(2))
        if not text.endswith(b"\0") or len(text) > MAX_WORD:
            raise RefusedError(f"a name before byte {cursor.position} has no end")


class Word2Vec(Format):
    """Vectors as word2vec's C program writes them: two numbers in a line, then words, each with its numbers."""

    name, called, loader = "word2vec", "vectors of word2vec", "gensim.models.KeyedVectors"

    def recognise(self, file: File) -> bool:
        """By its first line, and numbers behind the first word that are no text."""
        match = _COUNTS.match(file.head)
        return match is not None and int(match[2]) > 0 and b"\0" in file.head

    def read(self, file: File, reading: Reading) -> Content:  # noqa: ARG002 - a format's entry
        """Data, if there are so many words and numbers and nothing else."""
        match = _COUNTS.match(file.head)
        words, numbers = (int(match[1]), int(match[2])) if match else (0, 0)
        if words > MAX_ENTRIES:
            raise RefusedError(f"it says that it holds {words} words")
        cursor = Cursor(file, match.end() if match else 0)
        for _ in range(words):
            for length in range(MAX_WORD):
                byte = cursor.take(1)
                if byte == b" " and length:
                    break
            else:
                raise RefusedError(f"a word before byte {cursor.position} is too long")
            cursor.skip(4 * numbers)
            if cursor.end - cursor.position and cursor.take(1) != b"\n":
                cursor.position -= 1
        if not cursor.done:
            raise RefusedError(f"{cursor.end - cursor.position} bytes follow its end")
        return Content(self.name, "data", "words and their numbers", loads=False)


_COUNTS = re.compile(rb"(\d{1,9}) (\d{1,5})\n")


class Imatrix(Format):
    """An importance matrix of llama.cpp of before GGUF: names, each with two counts and numbers, then what it was
    computed from (tools/imatrix)."""

    name, called, loader = "imatrix", "an importance matrix of llama.cpp", "llama-quantize"

    def recognise(self, file: File) -> bool:
        """By the number of its entries and the name of the first."""
        head = file.head
        entries, size = (int.from_bytes(head[at : at + 4], "little") for at in (0, 4))
        name = head[8 : 8 + size]
        return (
            0 < entries < 100_000
            and 0 < size < 200
            and name.endswith(b".weight")
            and name.isascii()
        )

    def read(self, file: File, reading: Reading) -> Content:  # noqa: ARG002 - a format's entry
        """Data, if its entries end where it does, or before one line about its source."""
        cursor = Cursor(file)
        for _ in range(cursor.number(4)):
            cursor.skip(cursor.number(4))
            cursor.skip(4)
            cursor.skip(4 * cursor.number(4))
        if not cursor.done:
            cursor.skip(4)
            cursor.skip(cursor.number(4))
        if not cursor.done:
            raise RefusedError(f"{cursor.end - cursor.position} bytes follow its end")
        return Content(self.name, "data", "names and numbers", loads=False)


class CatBoost(Format):
    """A model of CatBoost: a magic, a FlatBuffer of trees, and tables of numbers behind it."""

    name, called, loader = "catboost", "a CatBoost model", "catboost.CatBoost.load_model"
    opens = "catboost:CatBoost"

    def recognise(self, file: File) -> bool:
        """By its magic and the size of its first part."""
        return (
            file.head.startswith(b"CBM1")
            and 8 < int.from_bytes(file.head[4:8], "little") <= file.size - 8
        )

    def read(self, file: File, reading: Reading) -> Content:  # noqa: ARG002 - a format's entry
        """Data, if its first part is a FlatBuffer."""
        size = min(int.from_bytes(file.head[4:8], "little"), 1 << 30)
        flatbuffer.root(file.read(8, size))
        return Content(self.name, "data", "trees and tables of numbers", loads=False)


class OnnxNumbers(Format):
    """Tensors of an ONNX or OpenVINO model in a file of their own. Such a file has no structure: a model names places in
    it. Beside the model that names it, the model's reader says so; alone, its name does."""

    name, called, loader = (
        "onnx-data",
        "numbers of an ONNX model",
        "onnxruntime, by the model that names it",
    )

    def recognise(self, file: File) -> bool:
        """By its name, unless it is text. It is asked after every format that has a magic of its own."""
        return _EXTERNAL.search(file.name) is not None and not Text().recognise(file)

    def read(self, file: File, reading: Reading) -> Content:
        """Data, if it does not say that it is a pickle. What it calls if it is one is told already."""
        if file.head.startswith(pickles.PROTOCOLS):
            return pickles.Pickle().read(file, reading)
        return Content(self.name, "data", "bytes that are of no format but numbers", loads=False)


#: As torch, optimum and onnx call them: model.onnx_data, model.onnx_data_1, model.onnx.data; and OpenVINO's, beside
#: the .xml that names places in them: openvino_model.bin, openvino_decoder_model.bin, openvino_tokenizer.bin.
_EXTERNAL = re.compile(
    r"\.onnx[._]data(?:_\d{1,4})?$|(?:^|/)openvino_(?:[a-z_]{1,40}_)?(?:model|tokenizer|detokenizer)\.bin$"
)
