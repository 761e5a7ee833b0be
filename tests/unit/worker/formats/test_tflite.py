"""Constants of TensorFlow Lite models come out as they are stored; operators that reach files are told."""

from __future__ import annotations

import base64
import json
import zlib
from typing import TYPE_CHECKING, Any

import torch
from safe_load.export import safetensors_check
from safe_load.worker.refusal import RefusedError

from tests.unit.worker.formats.test_data import judged

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

#: Written with the classes that TensorFlow's schema gives (package tflite 2.18): a float32, a float16, an int8 that is
#: quantised, and an int64 of the first one's name; the operators FlexReadFile and MyOwnOperator.
MODEL = zlib.decompress(
    base64.b64decode(
        "eNpNUcFKw0AQfUnXukLUgjns0YN/YA8ehAYPOVUK4g8UDFgotZZIFUT6KT34FZ78CvHo2S/wYtc3m9nYTV5mZ/bNzryJA3BdDk+BA+To"
        "IYNlxNADPeCZOCY6xA5xkgI/CfBJvBNrgiH0Qxbw5b23mrNPXD6NlrPRvFqM67sF/YxPw7RhF7myL6fV41U1vikn04ouEmW+bLw3Wj+T"
        "2rSvxJme16zpdC/GaG6qdkk1juqOgrpGm9Qcqi6uvX7bGwIn9pbrHcpD7ItrkGo81rkPd8gUD9s7nJ4LxWxpEnsb+D2t9c+PnFTRaXU0"
        "PdpGZuDnW9yoWeY0mc0fato338xO/uWu9m/VfuhZl/jdeCRM/taYcs5R4EIY0l9Xa7l2EqsBPwVfYkWsCwMTOH8t5Tak"
    )
)


def test_constants_come_out_as_they_are_stored(
    extracted: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    from safetensors.torch import load_file

    result = extracted(MODEL)
    assert (result["status"], result["state"]) == ("ok", "data")
    got = load_file(tmp_path / "out.safetensors")
    assert {name: (tensor.dtype, tensor.tolist()) for name, tensor in got.items()} == {
        "w": (torch.float32, [[0, 1, 2], [3, 4, 5]]),
        "h": (torch.float16, [0, 1, 2, 3]),
        "q": (torch.int8, [[-3, -2], [-1, 0], [1, 2]]),
        "w#2": (torch.int64, [7, 8]),
    }
    metadata = safetensors_check.check(tmp_path / "out.safetensors").metadata
    assert json.loads(metadata["safe_load.tflite.scale:q"]) == {"scale": [0.5], "zero_point": [3]}


def test_operators_that_reach_files_are_a_finding_and_others_a_note() -> None:
    _, reading = judged(MODEL)
    assert [(ident, "FlexReadFile" in text) for ident, text in reading.carried] == [("SL506", True)]
    assert any("MyOwnOperator" in note for note in reading.notes)


def test_a_shape_that_lies_is_refused() -> None:
    numbers = b"".join(n.to_bytes(4, "little") for n in (2, 2, 3))  # how many, and these
    at = MODEL.index(numbers)
    result, _ = judged(MODEL[: at + 4] + (1 << 30).to_bytes(4, "little") + MODEL[at + 8 :])
    assert isinstance(result, RefusedError)
    assert "24 bytes are no float32" in result.reason
