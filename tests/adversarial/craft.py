"""What the hostile programs are made of: pickles written opcode by opcode, and files round them.

Nothing is run here. What a payload would do if it got out is bounded all the same: it touches a
canary beside the model's folder, or reaches for names and addresses that are reserved for
documentation (RFC 2606, 5737, 3849).
"""

from __future__ import annotations

import io
import json
import os
import struct
import zipfile
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

ADDRESS, PORT = "203.0.113.7", 4444
#: The evidence of `shell`, where a test puts the canary's path.
TOUCHED = ["sh", "-c", "touch {canary}"]
PROTO = b"\x80\x04"


class Code(bytes):
    """Opcodes that leave one more value on the stack."""


def value(item: object) -> Code:
    """Opcodes for a literal; Code stands for itself, also in containers."""
    match item:
        case Code():
            return item
        case None:
            return Code(b"N")
        case bool():
            return Code(b"\x88" if item else b"\x89")
        case int():
            return Code(b"I%d\n" % item)
        case float():
            return Code(b"G" + struct.pack(">d", item))
        case str():
            return Code(b"X" + struct.pack("<I", len(item.encode())) + item.encode())
        case bytes():
            return Code(b"B" + struct.pack("<I", len(item)) + item)
        case tuple():
            return Code(b"(" + b"".join(map(value, item)) + b"t")
        case list():
            return Code(b"(" + b"".join(map(value, item)) + b"l")
        case dict():
            parts = [value(part) for pair in item.items() for part in pair]
            return Code(b"(" + b"".join(parts) + b"d")
    raise TypeError(f"no opcodes for {type(item).__name__}")


def name(dotted: str) -> Code:
    """`module:attribute`, where the attribute may be a path of several."""
    module, attribute = dotted.split(":")
    return Code(value(module) + value(attribute) + b"\x93")


def call(function: str | Code, *arguments: object) -> Code:
    """REDUCE."""
    target = function if isinstance(function, Code) else name(function)
    return Code(target + value(arguments) + b"R")


def new(cls: str, *arguments: object) -> Code:
    """NEWOBJ: the class's __new__ alone."""
    return Code(name(cls) + value(arguments) + b"\x81")


def build(target: Code, state: object) -> Code:
    """BUILD."""
    return Code(target + value(state) + b"b")


def method(target: Code, which: str, *arguments: object) -> Code:
    """Call a method of the value, without getattr."""
    return call(call("operator:methodcaller", which, *arguments), target)


def then(*codes: Code) -> Code:
    """One after the other; the last one's value stays."""
    return Code(b"0".join(codes))


def namespace(**attributes: object) -> Code:
    """An argparse.Namespace, which honest checkpoints hold too."""
    return build(new("argparse:Namespace"), attributes)


def touch(folder: Path) -> str:
    """The shell command that would leave the canary."""
    return f"touch {folder.parent / 'canary'}"


def code(folder: Path) -> str:
    """A Python expression that would leave the canary, in double quotes nowhere."""
    return f"__import__('os').system('{touch(folder)}')"


def shell(folder: Path, function: str = "os:system") -> Code:
    """Run `touch` by os.system or another function of one command."""
    return call(function, touch(folder))


class Shell:
    """An object that runs the same where it is unpickled, for what pickles objects by itself."""

    def __init__(self, folder: Path) -> None:
        self.command = touch(folder)

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, (self.command,)


def run(source: str) -> Code:
    """Run Python."""
    return call("builtins:exec", source, {})


def system_call(number: int, *arguments: int) -> Code:
    """Make a system call by its number on x86-64, with arguments that do nothing."""
    return run(
        f"import ctypes; ctypes.CDLL(None).syscall({', '.join(map(str, (number, *arguments, 0, 0, 0)))})"
    )


def stream(code: bytes) -> bytes:
    """A whole pickle."""
    return PROTO + code + b"."


def honest() -> dict[str, torch.Tensor]:
    """The weights that the hostile files bring."""
    return {"weight": torch.arange(6.0).reshape(2, 3), "bias": torch.ones(3)}


def saved(value: object, *, legacy: bool = False) -> bytes:
    """What torch.save writes."""
    file = io.BytesIO()
    torch.save(value, file, _use_new_zipfile_serialization=not legacy)
    return file.getvalue()


def members(archive: bytes) -> dict[str, bytes]:
    """The members of a zip."""
    with zipfile.ZipFile(io.BytesIO(archive)) as file:
        return {member: file.read(member) for member in file.namelist()}


def zipped(
    content: dict[str, bytes] | Sequence[tuple[str, bytes]], method: int = zipfile.ZIP_STORED
) -> bytes:
    """A zip; as pairs, names may come twice."""
    pairs = content.items() if isinstance(content, dict) else content
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for member, data in pairs:
            archive.writestr(member, data)
    return file.getvalue()


def trapped(trap: Code, weights: object = None) -> dict[str, bytes]:
    """The members of a checkpoint whose data.pkl runs the trap and then gives honest weights."""
    found = members(saved(honest() if weights is None else weights))
    pickled = found["archive/data.pkl"]
    return found | {"archive/data.pkl": PROTO + trap + b"0" + pickled[2:]}


def checkpoint(folder: Path, trap: Code, file: str = "pytorch_model.bin") -> Path:
    """A torch checkpoint with that trap."""
    return write(folder, file, zipped(trapped(trap)))


def write(folder: Path, file: str, data: bytes | str) -> Path:
    """Write one file of the model; returns its path."""
    path = folder / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return path


def pickled(folder: Path, code: bytes, file: str = "model.pkl") -> Path:
    """A bare pickle."""
    return write(folder, file, stream(code))


TINY_BERT = {
    "architectures": ["BertModel"],
    "model_type": "bert",
    "hidden_size": 8,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 16,
    "vocab_size": 32,
    "max_position_embeddings": 16,
}


def model(folder: Path, **config: object) -> Path:
    """A folder with honest weights and TINY_BERT's config.json, in which a key may say something else."""
    from safetensors.torch import save

    write(folder, "model.safetensors", save(honest()))
    write(folder, "config.json", json.dumps(TINY_BERT | config))
    return folder


def tokenizer(folder: Path, chat_template: str) -> None:
    """A tokenizer of a few words, with that chat template."""
    vocabulary = {word: number for number, word in enumerate(("[UNK]", "hello", "world", ",", "!"))}
    words = {"type": "WordLevel", "vocab": vocabulary, "unk_token": "[UNK]"}
    write(
        folder, "tokenizer.json", json.dumps({"version": "1.0", "model": words, "added_tokens": []})
    )
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "chat_template": chat_template}
    write(folder, "tokenizer_config.json", json.dumps(config))
