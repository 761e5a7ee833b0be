"""A package that this Python lacks is named with the command that brings it."""

from __future__ import annotations

import sys
from types import ModuleType

import pytest
from safe_load.core.errors import UsageError
from safe_load.core.installed import need


def test_an_installed_package_is_given() -> None:
    assert need("json") is sys.modules["json"]


def test_a_package_that_is_not_there_is_named_with_the_python_and_the_command(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delitem(sys.modules, "ipykernel", raising=False)
    with pytest.raises(UsageError) as raised:
        need("no_such_package")
    said = str(raised.value)
    assert f"this Python ({sys.executable}) does not have no_such_package" in said
    assert said.endswith("-m pip install 'safe-load[models]'")


def test_in_a_notebook_the_kernel_is_named_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ipykernel", ModuleType("ipykernel"))
    with pytest.raises(UsageError, match="restart the kernel, or choose the kernel of a Python"):
        need("no_such_package")


def test_a_package_that_breaks_on_import_is_no_missing_one(
    tmp_path: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    with open(f"{tmp_path}/half_a_package.py", "w") as file:
        file.write("import no_such_part\n")
    with pytest.raises(ModuleNotFoundError, match="no_such_part"):
        need("half_a_package")
