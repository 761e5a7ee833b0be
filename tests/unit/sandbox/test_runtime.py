"""What a room shows of the host's Python: libraries, and nothing else."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from safe_load.sandbox import runtime

EVERYTHING = ("torch", "transformers", "numpy", "safetensors")


@pytest.fixture(scope="module")
def found() -> runtime.Runtime:
    return runtime.find(EVERYTHING)


def sources(found: runtime.Runtime) -> list[Path]:
    return [Path(source) for source, _ in (*found.folders, *found.files)]


def test_configuration_and_programs_of_the_environment_are_not_shown(
    found: runtime.Runtime,
) -> None:
    prefix = Path(sys.prefix)
    names = {path.name for path in sources(found)}
    assert names & {"pip.conf", "pyvenv.cfg", "bin", "Scripts", "include", "share", "etc"} == set()
    for path in sources(found):
        assert not prefix.is_relative_to(path), f"{path} shows the whole environment"
        assert not path.is_relative_to(prefix / "bin")


def test_no_folder_shows_the_packages_that_nobody_asked_for(found: runtime.Runtime) -> None:
    shown = {
        target.removeprefix(f"{runtime.SITE}/")
        for _, target in (*found.folders, *found.files)
        if target.startswith(f"{runtime.SITE}/")
    }
    assert {"torch", "transformers", "numpy", "safetensors"} <= shown
    assert (
        shown
        & {
            "pytest",
            "_pytest",
            "hypothesis",
            "mypy",
            "msgspec",
            "pip",
            "safe_load",
        }
        == set()
    )
    for source, target in found.folders:
        for name in ("site-packages", "dist-packages"):
            if (Path(source) / name).is_dir():
                assert f"{target}/{name}" in found.covered


def test_what_runs_a_models_own_code_is_left_out_even_if_it_is_asked_for() -> None:
    for name in ("peft", "kernels", "PEFT", "bits_and_bytes"):
        shown = runtime.find((name,))
        assert all(not target.startswith(f"{runtime.SITE}/") for _, target in shown.folders)
    assert {"accelerate", "kernels", "peft", "timm"} <= runtime.EXCLUDED


def test_a_distribution_that_is_not_installed_is_reported_as_missing() -> None:
    assert runtime.find(("safetensors", "no-such-thing-at-all")).missing == (
        "no-such-thing-at-all",
    )
    assert runtime.find(("safetensors",)).missing == ()


def test_names_of_distributions_are_compared_as_installers_do() -> None:
    plain = runtime.find(("safetensors",))
    assert runtime.find(("SafeTensors",)).folders == plain.folders


def test_everything_that_is_shown_exists_and_every_target_is_absolute(
    found: runtime.Runtime,
) -> None:
    assert all(path.exists() for path in sources(found))
    for _, target in (*found.folders, *found.files):
        assert target.startswith("/")
        assert ".." not in Path(target).parts
    assert all(path.startswith("/") for path in found.python_path)


def test_packages_are_shown_where_the_workers_path_leads(found: runtime.Runtime) -> None:
    assert runtime.SITE in found.python_path
    assert found.python_path[-1] == runtime.MODULES
    assert (f"{runtime.PACKAGE}/worker") in [target for _, target in found.folders]


def test_nothing_of_the_controller_is_shown(found: runtime.Runtime) -> None:
    import safe_load

    package = Path(safe_load.__file__).resolve().parent
    for path in sources(found):
        assert not package.is_relative_to(path)
        assert not (package / "pipeline.py").is_relative_to(path)
