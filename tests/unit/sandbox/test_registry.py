"""Backends are found by name: ours first, others by entry point, and each failure is one sentence."""

from __future__ import annotations

from importlib import metadata
from typing import TYPE_CHECKING

import pytest
from safe_load import profiles
from safe_load.sandbox.backends import registry
from safe_load.sandbox.backends.interface import Backend, BackendError, Job, RoomResult
from safe_load.sandbox.backends.native.backend import NativeBackend
from safe_load.sandbox.backends.request import Request

if TYPE_CHECKING:
    from pathlib import Path


class Elsewhere(Backend):
    """Of another package."""

    name = "elsewhere"

    def __init__(self, request: Request) -> None:
        self.profile = request.profile

    def run(self, job: Job) -> RoomResult:
        raise NotImplementedError

    def stop(self) -> None:
        raise NotImplementedError


def broken(request: Request) -> Backend:
    raise RuntimeError("no key")


def no_backend(request: Request) -> object:
    return request


@pytest.fixture
def request_() -> Request:
    return Request(profiles.load("strict"), "0.1.0")


@pytest.fixture(autouse=True)
def _package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package that is installed, with entry points for what is in this module."""
    info = tmp_path / "elsewhere-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: elsewhere\nVersion: 1.0\n")
    here = {
        "elsewhere": "Elsewhere",
        "native": "Elsewhere",
        "broken": "broken",
        "none": "no_backend",
        "gone": "absent",
    }
    lines = [f"{name} = {__name__}:{value}" for name, value in here.items()]
    (info / "entry_points.txt").write_text("\n".join((f"[{registry.GROUP}]", *lines)))
    monkeypatch.syspath_prepend(str(tmp_path))
    found = metadata.entry_points(group=registry.GROUP)
    assert {each.name for each in found} == here.keys()


def test_a_backend_of_another_package_is_made_by_its_name(request_: Request) -> None:
    assert "elsewhere" in registry.names()
    backend = registry.make("elsewhere", request_)
    assert type(backend).__name__ == "Elsewhere"
    assert backend.profile is request_.profile


def test_no_other_package_can_take_a_name_of_ours(request_: Request) -> None:
    assert registry.names().count("native") == 1
    assert isinstance(registry.make("native", request_), NativeBackend)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("submarine", "there is no backend 'submarine': choose one of native, docker, "),
        ("broken", "cannot be made: RuntimeError: no key"),
        ("none", "is a Request, not a Backend"),
        ("gone", "cannot be made: AttributeError"),
    ],
)
def test_what_cannot_be_made_is_one_sentence(name: str, said: str, request_: Request) -> None:
    with pytest.raises(BackendError) as caught:
        registry.make(name, request_)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
