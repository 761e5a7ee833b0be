"""Classes of packages that are not installed, for as long as a checkpoint that names them is written."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def package(module: str, *classes: type) -> Iterator[None]:
    """`classes` as if `module` defined them; afterwards nobody can import it."""
    parts = module.split(".")
    names = [".".join(parts[: end + 1]) for end in range(len(parts))]
    made = {name: ModuleType(name) for name in names if name not in sys.modules}
    for cls in classes:
        cls.__module__, cls.__qualname__ = module, cls.__name__
    sys.modules.update(made)
    vars(sys.modules[module]).update({cls.__name__: cls for cls in classes})
    try:
        yield
    finally:
        for name in made:
            del sys.modules[name]
