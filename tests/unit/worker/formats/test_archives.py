"""Weights within archives come out under a clear rule, and what an archive can do to a loader is told."""

from __future__ import annotations

import io
import json
import tarfile
import warnings
import zipfile
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from safe_load.worker.formats import archives, interface, zip_archive
from safe_load.worker.formats.interface import Content
from safe_load.worker.refusal import RefusedError
from safetensors.torch import save

from tests.unit.worker.checkpoints import saved
from tests.unit.worker.formats.test_data import judged
from tests.unit.worker.formats.test_opened import written, zipped

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


ENCODER = {"a.weight": torch.arange(6.0).reshape(2, 3), "a.bias": torch.ones(2)}
DECODER = {"b.weight": torch.full((2, 2), 3.0)}
STATE = {"state": {0: {"exp_avg": torch.zeros(2)}}, "param_groups": [{"params": [0]}]}
Tensors = dict[str, torch.Tensor]


def tarred(members: list[tuple[str, bytes]], mode: str = "w") -> bytes:
    def write(file: io.BytesIO) -> None:
        with tarfile.open(fileobj=file, mode=mode) as archive:  # type: ignore[call-overload]
            for name, data in members:
                info = tarfile.TarInfo(name)
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))

    return written(write)


PPO = {
    "data": json.dumps({"policy_class": {":type:": "abc"}}).encode(),
    "pytorch_variables.pth": saved({"log_alpha": torch.zeros(1)}),
    "policy.pth": saved(ENCODER),
    "policy.optimizer.pth": saved(STATE),
}
FOLDER = {
    "m/model.safetensors": save(ENCODER),
    "m/pytorch_model.bin": saved(DECODER),
    "m/optimizer.pt": saved(STATE),
    "m/config.json": b"{}",
}
SHARDS = {
    "m/pytorch_model-00001-of-00002.bin": saved(ENCODER),
    "m/pytorch_model-00002-of-00002.bin": saved(DECODER),
}
NEMO = [("./model_config.yaml", b"a: 1\n"), ("./model_weights.ckpt", saved(ENCODER))]
SAGEMAKER = [("model.safetensors", save(ENCODER)), ("code/inference.py", b"import os\n")]
WRITTEN: dict[str, tuple[bytes, Tensors]] = {
    "stable-baselines3": (zipped(**PPO), ENCODER),
    "a folder of transformers": (zipped(**FOLDER), ENCODER),
    "shards of one model": (zipped(**SHARDS), ENCODER | DECODER),
    "NeMo": (tarred(NEMO), ENCODER),
    "tar.gz": (tarred(SAGEMAKER, "w:gz"), ENCODER),
    "tar.bz2": (tarred(SAGEMAKER, "w:bz2"), ENCODER),
    "tar.xz": (tarred(SAGEMAKER, "w:xz"), ENCODER),
    "tar.gz in a zip": (zipped(**{"in.tar.gz": tarred(SAGEMAKER, "w:gz")}), ENCODER),
    "two models": (
        zipped(**{"enc/model.bin": saved(ENCODER), "dec.safetensors": save(DECODER)}),
        {f"enc/model/{k}": v for k, v in ENCODER.items()} | {f"dec/{k}": v for k, v in DECODER.items()},
    ),
    "two models that differ in their suffixes alone": (
        zipped(**{"m.bin": saved(ENCODER), "m.ckpt": saved(DECODER)}),
        {f"m.bin/{k}": v for k, v in ENCODER.items()} | {f"m.ckpt/{k}": v for k, v in DECODER.items()},
    ),
    "optimizers alone": (
        zipped(**{"optimizer.pt": saved({"exp_avg": torch.ones(2)})}), {"exp_avg": torch.ones(2)}
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", WRITTEN)
def test_weights_in_an_archive_come_out_under_their_names(
    kind: str, extracted: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    from safetensors.torch import load_file

    data, expected = WRITTEN[kind]
    result = extracted(data)
    assert (result["status"], result["state"]) == ("ok", "opened"), result["reason"]
    found = load_file(tmp_path / "out.safetensors")
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_what_is_not_exported_of_an_archive_is_named() -> None:
    _, reading = judged(zipped(**PPO))
    assert any("policy.optimizer.pth" in note for note in reading.notes)
    _, reading = judged(zipped(**FOLDER))
    assert any("'m/pytorch_model.bin', 'm/optimizer.pt'" in note for note in reading.notes)


def test_a_packed_checkpoint_larger_than_memory_allows_is_read_in_place(
    extracted: Callable[..., dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from safe_load.worker import spans
    from safe_load.worker.formats import packed
    from safetensors.torch import load_file

    monkeypatch.setattr(packed, "MAX_SHORT", 1000)
    monkeypatch.setattr(spans, "MARK", 4096)
    monkeypatch.setattr(spans, "CHUNK", 1000)
    numbers = torch.randn(30_000, generator=torch.Generator().manual_seed(7))
    state = {"z": numbers[:20_000], "a": numbers[20_000:].double(), "m": numbers[:7].half()}
    members = [("model.bin", saved({k: v.clone() for k, v in state.items()})), ("x.json", b"{}")]
    for data in (tarred(members, "w:gz"), zipped(**dict(members))):
        assert extracted(data)["status"] == "ok"
        found = load_file(tmp_path / "out.safetensors")
        assert all(torch.equal(found[name], state[name]) for name in state)


@pytest.mark.parametrize("pack", [tarred, lambda members: _twice(members)])  # noqa: PLW0108 - defined below
def test_a_name_that_stands_twice_is_refused(
    pack: Callable[[list[tuple[str, bytes]]], bytes],
) -> None:
    for second in ("model.ckpt", "./model.ckpt", "MODEL.ckpt"):
        content, _ = judged(pack([("model.ckpt", saved(ENCODER)), (second, saved(DECODER))]))
        assert isinstance(content, RefusedError)
        assert "twice" in content.reason


def _twice(members: list[tuple[str, bytes]]) -> bytes:
    def write(file: io.BytesIO) -> None:
        with zipfile.ZipFile(file, "w") as archive:
            for name, data in members:
                archive.writestr(name, data)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # zipfile's own, of the name
        return written(write)


LEAVES = ["../x.pt", "/etc/x.pt", "a/../../x.pt", "C:\\x.pt", "..\\x.pt", "\\\\host\\x.pt"]


@pytest.mark.parametrize("name", LEAVES)
def test_a_member_that_would_leave_its_folder_is_told(name: str) -> None:
    for data in (zipped(**{name: saved(ENCODER)}), tarred([(name, saved(ENCODER))])):
        _, reading = judged(data)
        assert [finding for finding, _ in reading.carried] == ["SL505"]


def test_links_out_of_the_folder_are_told_and_devices_are_refused() -> None:
    for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE):
        info = tarfile.TarInfo("x")
        info.type, info.linkname = kind, "../../etc/passwd"
        _, reading = judged(written(lambda file, info=info: _add(file, info)))  # type: ignore[misc]
        assert [finding for finding, _ in reading.carried] == ["SL505"]
    for kind in (tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE):
        info = tarfile.TarInfo("x")
        info.type = kind
        content, _ = judged(written(lambda file, info=info: _add(file, info)))  # type: ignore[misc]
        assert isinstance(content, RefusedError)


#: Links, each a name and a target, and whether one of them leads out of the archive.
LINKS: dict[str, tuple[list[tuple[str, str]], bool]] = {
    "of a Hugging Face cache": ([("m/snapshots/1/model.bin", "../../blobs/2")], False),
    "beside each other": ([("a/b", "c"), ("a/d", "./e/f")], False),
    "one step too far": ([("a/b", "../../c")], True),
    "upwards later": ([("a/b", "c/../../../d")], True),
    "absolute": ([("a/b", "/etc/passwd")], True),
    "of Windows": ([("a/b", "C:\\x"), ("a/c", "..\\..\\x")], True),
    "below a link": ([("a/b", "."), ("a/b/b/c", "../../../d")], True),
    "below a link in other case": ([("a/b", "."), ("A/B/c", "../../d")], True),
}


@pytest.mark.parametrize("kind", LINKS)
@pytest.mark.parametrize("packed", ["tar", "zip"])
def test_links_that_stay_in_the_archive_are_honest(kind: str, packed: str) -> None:
    made, leaves = LINKS[kind]
    out = io.BytesIO()
    if packed == "tar":
        with tarfile.open(fileobj=out, mode="w") as archive:
            for name, target in made:
                info = tarfile.TarInfo(name)
                info.type, info.linkname = tarfile.SYMTYPE, target
                archive.addfile(info)
    else:
        with zipfile.ZipFile(out, "w") as archive_:
            for name, target in made:
                entry = zipfile.ZipInfo(name)
                entry.create_system, entry.external_attr = 3, 0o120777 << 16
                archive_.writestr(entry, target)
    _, reading = judged(out.getvalue())
    assert bool(reading.carried) is leaves
    assert {ident for ident, _ in reading.carried} <= {"SL505"}


@pytest.mark.parametrize(
    ("target", "leaves"), [("m/up", True), ("M/up/c", True), ("m/file", False)]
)
def test_a_hard_link_to_a_link_leads_from_another_folder(target: str, leaves: bool) -> None:
    """m/up stays in the archive; the same link beside m leads out of it."""
    with tarfile.open(fileobj=(out := io.BytesIO()), mode="w") as archive:
        archive.addfile(tarfile.TarInfo("m/file"))
        # The link may also come after what is linked to it.
        for name, kind, to in (("h", tarfile.LNKTYPE, target), ("m/up", tarfile.SYMTYPE, "..")):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, to
            archive.addfile(info)
    _, reading = judged(out.getvalue())
    assert [ident for ident, _ in reading.carried] == ["SL505"] * leaves


def test_a_torch_file_whose_members_leave_the_folder_is_told() -> None:
    out = io.BytesIO(saved(ENCODER))
    with zipfile.ZipFile(out, "a") as archive:
        archive.writestr("../../x", "")
    _, reading = judged(out.getvalue())
    assert [ident for ident, _ in reading.carried] == ["SL505"]


def test_links_and_devices_in_a_zip_are_told_too() -> None:
    for target, found in (
        ("../../etc/passwd", ["SL505"]),
        ("/etc/passwd", ["SL505"]),
        ("x.bin", []),
    ):
        info = zipfile.ZipInfo("link")
        info.external_attr = 0o120777 << 16
        _, reading = judged(_zip_of(info, target.encode()))
        assert [finding for finding, _ in reading.carried] == found
    info = zipfile.ZipInfo("device")
    info.external_attr = 0o020666 << 16
    assert isinstance(judged(_zip_of(info, b"x"))[0], RefusedError)


def _zip_of(info: zipfile.ZipInfo, data: bytes) -> bytes:
    def write(file: io.BytesIO) -> None:
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr(info, data)

    return written(write)


def _add(file: io.BytesIO, info: tarfile.TarInfo) -> None:
    with tarfile.open(fileobj=file, mode="w") as archive:
        archive.addfile(info)


def test_a_header_of_a_tar_archive_that_is_read_into_memory_is_bounded() -> None:
    info = tarfile.TarInfo("pax")
    info.type, info.size = tarfile.XHDTYPE, 4 << 20
    content, _ = judged(info.tobuf() + bytes(5 << 20))
    assert isinstance(content, RefusedError)
    assert content.status != "bomb"


def test_more_members_than_are_opened_are_a_bomb(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zip_archive, "MAX_MEMBERS", 1000)
    monkeypatch.setattr(archives, "MAX_MEMBERS", 100)
    members = [(f"{number}", b"x") for number in range(1001)]
    for data in (zipped(**dict(members)), zipped(**dict(members[:101])), tarred(members[:101])):
        content, _ = judged(data)
        assert isinstance(content, RefusedError)
        assert content.status == "bomb"


CONFIGURED = {
    "m/config.json": {"model_type": "bert", "attn_implementation": "evil/kernel"},
    "tokenizer_config.json": {"chat_template": "{{ ''['_' ~ '_class_' ~ '_'] }}"},
    "m/tokenizer_config.json": {
        "tokenizer_class": "BertTokenizer",
        "auto_map": {"AutoTokenizer": ["evil.E", None]},
    },
    "a/b/modules.json": [{"idx": 0, "name": "0", "path": "", "type": "evil.Evil"}],
    "m/2_Dense/config.json": {
        "in_features": 1,
        "out_features": 1,
        "activation_function": "evil.Evil",
    },
    "m/model_index.json": {"_class_name": "StableDiffusionPipeline", "unet": ["evil", "Evil"]},
    "any.json": {"auto_map": {"AutoModel": "evil.E"}},
    "adapter_config.json": {
        "peft_type": "LORA",
        "megatron_core": "evil.core",
        "megatron_config": {},
    },
}
ORDINARY = {
    "m/config.json": {"model_type": "bert", "_name_or_path": "/home/x", "dtype": "float32"},
    "config.json": {"class_name": "Sequential", "config": {"dtype": "mixed_float16"}},
    "tokenizer_config.json": {"tokenizer_class": "BertTokenizer", "chat_template": "{% for m in messages %}{{ m['role'] }}{% endfor %}"},
    "adapter_config.json": {"peft_type": "LORA", "base_model_name_or_path": "a/b"},
    "modules.json": [{"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"}],
    "tokenizer.json": {"model": {"vocab": {"auto_map": 1}}},
    "broken.json": "{",
}  # fmt: skip


@pytest.mark.parametrize("name", CONFIGURED)
def test_configuration_within_an_archive_is_asked_what_a_folder_s_is(name: str) -> None:
    members = [
        (name, json.dumps(CONFIGURED[name]).encode()),
        ("m/model.safetensors", save(ENCODER)),
    ]
    for data in (zipped(**dict(members)), tarred(members), tarred(members, "w:gz")):
        _, reading = judged(data)
        assert [ident for ident, _ in reading.carried] == ["SL504" if "chat" in str(CONFIGURED[name]) else "SL503"]  # fmt: skip


def test_an_index_within_an_archive_that_leads_out_of_it_is_told() -> None:
    for shard, found in (("../../x.bin", ["SL505"]), ("model-00001-of-00001.bin", [])):
        index = json.dumps({"weight_map": {"w": shard}}).encode()
        _, reading = judged(tarred([("m/model.safetensors.index.json", index)], "w:gz"))
        assert [ident for ident, _ in reading.carried] == found


def test_a_module_within_an_archive_that_its_pickle_names_is_told() -> None:
    pickled = b"\x80\x02cevil\nEvil\n)\x81}b."
    for path, told in (("m/evil.py", 1), ("evil/code.py", 1), ("m/other.py", 0)):
        _, reading = judged(zipped(**{"m/x.pkl": pickled, path: b"x = 1\n"}))
        assert [ident for ident, _ in reading.carried].count("SL506") == told


def test_many_mild_members_hide_no_grave_one() -> None:
    tag = b"a: !!python/object/apply:os.system ['id']\n"
    members = [(f"a{number:03}.py", b"x = 1\n") for number in range(interface.MAX_SENTENCES + 10)]
    _, reading = judged(tarred([*members, ("z.yaml", tag)], "w:gz"))
    assert "SL506" in [ident for ident, _ in reading.carried]


@pytest.mark.parametrize("name", ORDINARY)
def test_ordinary_configuration_within_an_archive_is_no_finding(name: str) -> None:
    given = ORDINARY[name]
    data = (given if isinstance(given, str) else json.dumps(given)).encode()
    assert judged(zipped(**{name: data}))[1].carried == []


def test_a_package_of_torch_is_a_program() -> None:
    members = {"p/.data/extern_modules": b"torch\n", "p/code.py": b"x = 1\n"}
    _, reading = judged(zipped(**members))
    assert any("torch.package" in sentence for _, sentence in reading.carried)


@pytest.mark.parametrize("kind", ["stable-baselines3", "NeMo", "tar.gz", "tar.xz", "two models"])
def test_an_archive_that_is_cut_anywhere_is_not_judged_in_one_sentence(kind: str) -> None:
    data, _ = WRITTEN[kind]
    end = len(data.rstrip(b"\0"))  # what fills up a tar archive may be missing
    for number in range(1, 21):
        content, _ = judged(data[: end * number // 21])
        assert isinstance(content, RefusedError) or content.state == "not_judged"
        reason = content.reason if isinstance(content, RefusedError) else content.why
        assert reason
        assert "\n" not in reason


@pytest.mark.parametrize("kind", ["stable-baselines3", "two models", "npz"])
def test_a_member_with_a_wrong_checksum_is_refused(kind: str) -> None:
    arrays = written(lambda file: np.savez(file, a=np.arange(300), b=np.ones(3)))
    data = bytearray(arrays if kind == "npz" else WRITTEN[kind][0])
    assert isinstance(judged(bytes(data))[0], Content)
    at = data.rfind(b"PK\1\2") + 16  # of the last member, in the directory and in its own header
    wrong = bytes(byte ^ 1 for byte in data[at : at + 4])
    data = data.replace(data[at : at + 4], wrong)
    content, _ = judged(bytes(data))
    assert isinstance(content, RefusedError)
    assert "checksum" in content.reason


def test_an_array_that_torch_has_no_type_for_is_named() -> None:
    structures = np.zeros(3, dtype=[("a", "i4"), ("b", "f8", (2,))])
    for array, word in ((structures, "structures"), (np.array(["a"]), "'<U1'")):
        content, _ = judged(written(lambda file, array=array: np.save(file, array)))  # type: ignore[misc]
        assert isinstance(content, Content)
        assert content.state == "data"
        assert word in content.why
    content, reading = judged(written(lambda file: np.savez(file, a=np.ones(3), s=structures)))
    assert isinstance(content, Content)
    assert content.plan is not None
    assert [entry.name for entry in content.plan.entries] == ["a"]
    assert ["'s.npy'" in note for note in reading.notes] == [True]
