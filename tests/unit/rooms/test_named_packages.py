"""Installed packages that a pickle names: a room opens the model beside them."""

from __future__ import annotations

import importlib
import pickle
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
import torch
from safe_load.export.extracted import NamedCallable
from safe_load.judge import pickle_names
from safe_load.loading import pipeline
from safe_load.rooms import jobs, named_packages
from safe_load.worker import plain_classes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from safe_load.core.report import Report
    from safe_load.sandbox.backends.native.warm import WarmBackend

_FIRES = """
import os
class Settings:
    def __setstate__(self, state):
        os.system("touch {canary}")
"""
_PLAIN = """
class Settings:
    def __init__(self, weights):
        self.weights = weights
"""


@dataclass
class Site:
    """A folder of packages on this Python's path. install: (distribution, module, source of the module)."""

    folder: Path

    def install(self, name: str, module: str, source: str, *, recorded: bool = True) -> None:
        (self.folder / module).mkdir()
        (self.folder / module / "__init__.py").write_text(source)
        if recorded:
            info = self.folder / f"{name.replace('-', '_')}-1.5.dist-info"
            info.mkdir()
            (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.5\n")
            (info / "RECORD").write_text(f"{module}/__init__.py,,\n{info.name}/METADATA,,\n")
        importlib.invalidate_caches()


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    before = set(sys.modules)
    yield Site(folder)
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(folder)):
            del sys.modules[name]


@pytest.fixture
def scan(tmp_path: Path, warm_room: WarmBackend) -> Callable[[bytes], Report]:
    def scan(data: bytes) -> Report:
        (tmp_path / "m").mkdir(exist_ok=True)
        (tmp_path / "m" / "model.pkl").write_bytes(data)
        return pipeline.scan(str(tmp_path / "m" / "model.pkl"), backend=warm_room)

    return scan


def _plain(module: str) -> bytes:
    """A pickle of an object of that module's class, with a state."""
    return f"\x80\x02c{module}\nSettings\n)\x81}}X\x01\x00\x00\x00aK\x01sb.".encode("latin-1")


def _find(*packages: str, borrowed: bool = True) -> named_packages.NamedPackages:
    value = {"files": [{"packages": list(packages)}]}
    return named_packages.find(value, jobs.NEEDED["weights"], borrowed=borrowed)


def test_a_payload_of_an_installed_package_fires_in_the_room(
    site: Site, scan: Callable[[bytes], Report], tmp_path: Path
) -> None:
    canary = tmp_path / "canary"
    data = _plain("canary_settings")
    before = scan(data)
    assert not before.processes
    assert not any("second time" in note for note in before.notes)
    site.install("canary-settings", "canary_settings", _FIRES.format(canary=canary))
    report = scan(data)
    assert report.outcome == "rejected"
    ran = next(found for found in report.findings if found.id == "SL101")
    assert "canary-settings 1.5" in ran.detail
    assert any(
        "beside installed packages" in n and "canary-settings 1.5" in n for n in report.notes
    )
    assert "installed" in {stage.name for stage in report.stages}
    assert "canary_settings" not in sys.modules
    assert not canary.exists()


def test_weights_in_an_object_of_an_installed_package_are_no_difference(
    site: Site, scan: Callable[[bytes], Report], tmp_path: Path
) -> None:
    site.install("plain-settings", "plain_settings", _PLAIN)
    settings = importlib.import_module("plain_settings").Settings(torch.arange(3.0))
    torch.save({"a": torch.ones(2), "held": settings}, tmp_path / "saved.pt")
    report = scan((tmp_path / "saved.pt").read_bytes())
    assert "installed" in {stage.name for stage in report.stages}
    assert {found.id for found in report.findings} == {"SL501"}, report.findings
    assert pickle.dumps(settings)


_CLASSES = """
import dataclasses, enum, os
class Settings:
    size = property(lambda self: 1)
    def __init__(self, size): os.system("true")
@dataclasses.dataclass
class Data(Settings):
    a: int = 1
class State(Settings):
    def __setstate__(self, state): pass
class Child(State): pass
class Attributes:
    def __getattr__(self, name): return 1
class Ends:
    def __del__(self): pass
class Setter:
    size = property(lambda self: 1, lambda self, value: None)
class Items(dict): pass
class Failure(Exception): pass
class Meta(type):
    def __getattribute__(cls, name): return super().__getattribute__(name)
class Made(metaclass=Meta): pass
class Color(enum.Enum): RED = 1
class Appends:
    def append(self, item): pass
Alias = Data
def function(): pass
"""
_NAMES = [
    "Settings", "Data", "State", "Child", "Attributes", "Ends", "Setter", "Items", "Failure",
    *("Made", "Color", "Appends", "Alias", "function", "Absent"),
]  # fmt: skip


def test_only_classes_whose_code_does_not_run_are_inert(site: Site) -> None:
    site.install("kinds", "kinds_of_classes", _CLASSES)
    said = plain_classes.main(
        {"packages": [], "names": [f"kinds_of_classes.{name}" for name in _NAMES]}, ()
    )
    assert said == {"inert": ["kinds_of_classes.Settings", "kinds_of_classes.Data"]}


def test_plain_objects_of_an_installed_package_are_no_alarm(
    site: Site, scan: Callable[[bytes], Report]
) -> None:
    site.install("plain-settings", "plain_settings", _PLAIN)
    report = scan(_plain("plain_settings"))
    assert [(found.id, found.severity) for found in report.findings] == [("SL501", "low")]
    assert report.outcome == "ok"
    assert "plain_settings" not in sys.modules


@pytest.mark.parametrize(
    "source",
    [
        "class Settings:\n    def __setstate__(self, state): pass\n",
        "import os; os._exit(0)\n",
    ],
)
def test_a_class_that_may_run_code_stays_an_alarm(
    site: Site, scan: Callable[[bytes], Report], source: str
) -> None:
    site.install("other-settings", "other_settings", source)
    report = scan(_plain("other_settings"))
    assert ("SL501", "medium") in {(found.id, found.severity) for found in report.findings}


_LOUD = """
import os, socket
try:
    socket.getaddrinfo("online.example", 80)
except OSError:
    pass
try:
    os.mkdir("/usr/settings")
except OSError:
    pass
class Settings: pass
"""


def test_what_a_package_does_when_it_is_imported_is_not_the_models(
    site: Site, scan: Callable[[bytes], Report]
) -> None:
    site.install("loud-extra", "loud_extra", _LOUD)
    report = scan(_plain("loud_extra"))
    assert any(event.args.get("path") == "/usr/settings" for event in report.recording.events)
    (note,) = (note for note in report.notes if "does the same without the model" in note)
    assert "looked up online.example" in note
    assert "/usr/settings" in note
    assert report.verdict == "clean", report.findings


def test_a_module_that_the_model_chose_is_imported_by_the_model(
    site: Site, scan: Callable[[bytes], Report]
) -> None:
    site.install("quiet-extra", "quiet_extra", "")
    (site.folder / "quiet_extra" / "main.py").write_text(_LOUD)
    (info,) = site.folder.glob("quiet_extra-*/RECORD")
    info.write_text(info.read_text() + "quiet_extra/main.py,,\n")
    report = scan(_plain("quiet_extra.main"))
    assert report.outcome == "rejected"
    assert any("online.example" in found.detail for found in report.findings)


def test_what_the_model_does_besides_stays_an_alarm(
    site: Site, scan: Callable[[bytes], Report]
) -> None:
    source = _LOUD.replace('pass\n"', "pass").replace(
        "class Settings: pass",
        "class Settings:\n"
        "    def __setstate__(self, state):\n"
        "        socket.getaddrinfo(state['weights'], 80)\n",
    )
    site.install("louder-extra", "louder_extra", source)
    stolen = pickle.PROTO + b"\x04clouder_extra\nSettings\n)\x81}(Vweights\nVstolen.example\nub."
    report = scan(stolen)
    assert report.verdict == "malicious" or report.outcome == "rejected"
    assert any("stolen.example" in found.detail for found in report.findings)
    assert not any("online.example" in found.detail for found in report.findings)


def test_a_call_of_an_inert_class_stays_an_alarm(site: Site) -> None:
    site.install("plain-settings", "plain_settings", _PLAIN)
    name = "plain_settings.Settings"
    weighed = {
        (use, text): pickle_names.weigh(
            NamedCallable(name, "BUILD", called=True, use=use, text=text), frozenset({name})
        )[0]
        for use in ("new", "call", "fields", "state", "items", "key", "held")
        for text in ("", "code: eval(1)")
    }
    assert weighed.pop(("new", "")) == "low"
    assert set(weighed.values()) <= {"medium", "high"}
    assert pickle_names.weigh(NamedCallable(name, "BUILD", called=True, use="new"))[0] == "medium"


def test_what_every_room_shows_is_shown_once() -> None:
    assert _find("torch", "numpy", "sympy", "os", "builtins", "not_installed_here") == _find()


def test_installers_and_ourselves_are_never_shown() -> None:
    assert _find("pip", "setuptools", "pkg_resources", "safe_load").distributions == ()


def test_a_module_without_metadata_is_told(site: Site) -> None:
    site.install("", "loose_module", _PLAIN, recorded=False)
    named = _find("loose_module")
    assert named.distributions == ()
    assert "loose_module" in named.notes[0]


def test_a_room_with_packages_of_its_own_is_told(site: Site) -> None:
    site.install("plain-settings", "plain_settings", _PLAIN)
    named = _find("plain_settings", borrowed=False)
    assert named.distributions == ()
    assert "plain_settings" in named.notes[0]


def test_more_packages_than_are_shown_speak_against_the_model(site: Site) -> None:
    for number in range(named_packages.MOST + 1):
        site.install(f"package-{number}", f"package_{number}", "")
    named = _find(*(f"package_{number}" for number in range(named_packages.MOST + 1)))
    assert len(named.distributions) == named_packages.MOST
    assert named.unshown
    assert _find(*(f"absent_{number}" for number in range(1000))).unshown


def test_what_is_no_list_of_packages_is_refused() -> None:
    with pytest.raises(ValueError, match="malformed"):
        named_packages.find({"files": [{"packages": [7]}]}, (), borrowed=True)
