"""Weights that a file holds under two names, for a model that does not tie them.

Zone: the caller's process. A cleared copy holds tied weights once and names their other names in its
metadata. A model of a class that ties them asks for one name; one that does not asks for both, and
stock code would leave the other one at random.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from safe_load.errors import NotLoadable
from safe_load.formats.escape import visible

if TYPE_CHECKING:
    from collections.abc import Callable

#: Other name -> the file that holds the tensor, and the name that it has there.
_Aliases = dict[str, tuple[Path, str]]


def load(read: Callable[..., Any], place: str, kwargs: dict[str, Any]) -> Any:
    """What stock code reads there, with the weights that it missed although they are there."""
    aliases = _aliases(Path(place))
    if not aliases:
        return read(place, **kwargs)
    asked = kwargs.get("output_loading_info", False)
    model, info = read(place, **kwargs | {"output_loading_info": True})
    info["missing_keys"] -= {name for name in info["missing_keys"] if _fill(model, name, aliases)}
    return (model, info) if asked else model


def _aliases(place: Path) -> _Aliases:
    from safetensors import safe_open  # noqa: PLC0415 - which imports numpy

    aliases: _Aliases = {}
    for file in place.glob("*.safetensors") if place.is_dir() else [place]:
        with safe_open(file, framework="np") as opened:
            names = set(opened.keys())
            for alias, name in (opened.metadata() or {}).items():
                if name in names and alias not in names:
                    aliases[alias] = file, name
    return aliases


def _fill(model: Any, name: str, aliases: _Aliases) -> bool:
    """Give a parameter of the model the weights that are there under another name, if they are."""
    import torch  # noqa: PLC0415 - the caller has it
    from safetensors import safe_open  # noqa: PLC0415

    # A model with a head and its base call the same weights with and without a prefix.
    alike = (
        at
        for alias, at in aliases.items()
        if name == alias or alias.endswith(f".{name}") or name.endswith(f".{alias}")
    )
    found = next(alike, None)
    if found is None:
        return False
    file, kept = found
    with safe_open(file, framework="pt") as opened:
        value = opened.get_tensor(kept)
    target = model.state_dict(keep_vars=True)[name]
    if target.shape != value.shape or target.is_meta:
        raise NotLoadable(
            f"{visible(name)} stands in the file under another name, and does not fit"
        )
    with torch.no_grad():
        target.copy_(value)
    return True
