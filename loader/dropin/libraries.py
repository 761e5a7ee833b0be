"""peft, diffusers and sentence-transformers by way of the sandbox: what of them reads a source by itself.

Zone: the caller's process. A library is patched once its module is imported, also within the block, and is
never imported for it. Tried with peft 0.21, diffusers 0.42 and sentence-transformers 6.2.
"""

from __future__ import annotations

import inspect
import os
import sys
from functools import cache, wraps
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeGuard

from safe_load.core.errors import NotLoadable, UsageError
from safe_load.dropin import agents, pretrained
from safe_load.dropin.patches import Patch, everywhere

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from safe_load.dropin.pretrained import Scope


class Reader(NamedTuple):
    """A function or method that reads a source.

    name: dotted, within its module, of the class that has it or of one derived from that; source: the parameter
    that names what is read; weights: whether it needs more than configuration; chooses: whether `variant` and `use_safetensors` say which weights are meant;
    checks: what must hold of the cleared copy, where the source itself is handed on, since the function hands
    it on to other readers.
    """

    name: str
    source: str
    weights: bool = True
    chooses: bool = False
    checks: Callable[[str, Path], None] | None = None


def _names_its_base(source: str, cleared: Path) -> None:
    """Raise UsageError for an adapter whose copy names no base."""
    if pretrained.base_of(str(cleared)) == "":
        raise UsageError(pretrained.no_base(source))


#: By the module that defines it, so that nothing is looked for before that is imported.
READERS: dict[str, tuple[Reader, ...]] = {
    "peft.config": (
        Reader("PeftConfigMixin.from_pretrained", "pretrained_model_name_or_path", weights=False),
        Reader("PeftConfigMixin._get_peft_type", "model_id", weights=False),
    ),
    "peft.peft_model": (
        Reader("PeftModel.from_pretrained", "model_id"),
        Reader("PeftModel.load_adapter", "model_id"),
    ),
    "peft.mixed_model": (Reader("PeftMixedModel.from_pretrained", "model_id"),),
    "peft.utils.save_and_load": (Reader("load_peft_weights", "model_id"),),
    "peft.auto": (
        Reader(
            "AutoPeftModel.from_pretrained",
            "pretrained_model_name_or_path",
            weights=False,
            checks=_names_its_base,
        ),
    ),
    "diffusers.configuration_utils": (
        Reader("ConfigMixin.load_config", "pretrained_model_name_or_path", weights=False),
    ),
    "diffusers.pipelines.pipeline_utils": (
        Reader("DiffusionPipeline.from_pretrained", "pretrained_model_name_or_path", chooses=True),
        Reader("DiffusionPipeline.download", "pretrained_model_name", chooses=True),
    ),
    "diffusers.models.modeling_utils": (
        Reader("ModelMixin.from_pretrained", "pretrained_model_name_or_path", chooses=True),
    ),
    "diffusers.models.auto_model": (
        Reader("AutoModel.from_pretrained", "pretrained_model_or_path", chooses=True),
    ),
    "diffusers.loaders.single_file": (
        Reader("FromSingleFileMixin.from_single_file", "pretrained_model_link_or_path"),
    ),
    "diffusers.loaders.single_file_model": (
        Reader("FromOriginalModelMixin.from_single_file", "pretrained_model_link_or_path_or_dict"),
    ),
    "diffusers.loaders.lora_base": (
        Reader("_fetch_state_dict", "pretrained_model_name_or_path_or_dict"),
    ),
    "diffusers.loaders.textual_inversion": (
        Reader("load_textual_inversion_state_dicts", "pretrained_model_name_or_paths"),
    ),
    "sentence_transformers.base.model": (Reader("BaseModel.__init__", "model_name_or_path"),),
}
#: Modules whose readers need more than another source.
OTHERS: dict[str, Callable[[Callable[[], Scope | None]], Iterator[Patch]]] = {
    agents.MODULE: agents.patches
}


def modules() -> frozenset[str]:
    """The modules in which something is patched."""
    return frozenset([*READERS, *OTHERS])


#: What some call otherwise than transformers does.
_SAME = {"cache_folder": "cache_dir"}
_REFUSED = {"custom_pipeline": "names Python code, which safe-load never runs"}


def patches(module: str, scope: Callable[[], Scope | None]) -> Iterator[Patch]:
    """A patch for each reader of an imported module. scope: as for `pretrained.patches`."""
    held = sys.modules.get(module)
    if module in OTHERS:
        yield from OTHERS[module](scope)
        return
    for reader in READERS[module] if held is not None else ():
        *owner, name = reader.name.split(".")
        place = attrgetter(".".join(owner))(held) if owner else held
        # The class that defines it: all that are derived from that read by it.
        place = next(
            (each for each in getattr(place, "__mro__", [place]) if name in vars(each)), None
        )
        if place is None:
            continue  # a version that has no such reader
        found = vars(place)[name]
        if isinstance(found, classmethod):
            yield Patch(place, name, classmethod(_routed(found.__func__, reader, scope)))
        elif owner:
            yield Patch(place, name, _routed(found, reader, scope))
        else:
            yield from everywhere(found, _routed(found, reader, scope))


@cache
def _routed(
    original: Callable[..., Any], reader: Reader, scope: Callable[[], Scope | None]
) -> Callable[..., Any]:
    parameters = inspect.signature(original).parameters
    position = list(parameters).index(reader.source)

    @wraps(original)
    def read(*args: Any, **kwargs: Any) -> Any:
        through = scope()
        asked = args[position] if len(args) > position else kwargs.get(reader.source)
        if isinstance(asked, list) and len(asked) > 1:  # one by one, each with its own file
            rest = {name: value for name, value in kwargs.items() if name != reader.source}
            first, last = args[:position], args[position + 1 :]
            return [
                got
                for each in asked
                for got in (
                    read(*first, [each], *last, **rest)
                    if len(args) > position
                    else read(*args, **rest, **{reader.source: [each]})
                )
            ]
        (source,) = asked if isinstance(asked, list) and asked else (asked,)
        if through is None or not _is_read(source):
            return original(*args, **kwargs)
        named = str(os.fspath(source))
        call = _Call(reader, args[0] if args else None, kwargs)
        place = call.cleared(through, named)
        if reader.checks is not None:
            reader.checks(named, Path(place))
            return original(*args, **kwargs)
        given = {name: None for name in call.used if name in parameters} | call.kwargs
        handed = [place] if isinstance(asked, list) else place
        with pretrained.read_freely(place, given.get("config")):
            if len(args) > position:
                return original(*args[:position], handed, *args[position + 1 :], **given)
            return original(*args, **given | {reader.source: handed})

    return read


def _is_read(source: object) -> TypeGuard[str | os.PathLike[str]]:
    """Whether it names something that is still to be cleared."""
    return isinstance(source, (str, os.PathLike)) and not pretrained.is_cleared(os.fspath(source))


class _Call:
    """The arguments of one call besides its source. used: the names of those that say where that lies."""

    def __init__(self, reader: Reader, owner: object, kwargs: dict[str, Any]) -> None:
        pretrained.refuse(kwargs, _REFUSED)
        self._reader = reader
        self._owner = owner
        self.kwargs = dict(kwargs)
        places = {*pretrained.PLACE, *_SAME}
        self.used = [name for name in kwargs if name in places]
        self._where = {_SAME.get(name, name): self.kwargs.pop(name) for name in self.used}
        self._choice: dict[str, Any] = {}
        if reader.chooses:
            chosen = [name for name in pretrained.CHOICE if self.kwargs.get(name)]
            self._choice = {name: self.kwargs[name] for name in chosen}
            self.used += [name for name in pretrained.CHOICE if name in self.kwargs]
            for name in pretrained.CHOICE:
                self.kwargs.pop(name, None)

    def cleared(self, through: Scope, source: str) -> str:
        """The cleared folder or file; what the arguments name in it is named anew."""
        config = self.kwargs.get("config")
        if isinstance(config, (str, os.PathLike)):  # a configuration for a file, which has none
            self.kwargs["config"] = self._clear(
                through, os.fspath(config), self._where, weights=False
            )
            self._where.pop("subfolder", None)
        name = self.kwargs.get("weight_name")
        source = self._of_organization(source)
        local = os.path.lexists(source)
        if name and local:
            source = str(Path(source, self._where.pop("subfolder", None) or "", name))
        place = self._clear(through, source, self._where, weights=self._reader.weights)
        if name:
            exported = f"{Path(place).stem if local else Path(name).stem}.safetensors"
            self.kwargs["weight_name"] = exported
        return place

    def _clear(self, through: Scope, source: str, where: dict[str, Any], *, weights: bool) -> str:
        optional = self._choice | {"weights_optional": True}
        if not weights and not os.path.lexists(source):
            return pretrained.cleared(through, source, where, optional)
        try:
            return pretrained.cleared(through, source, where, self._choice)
        except NotLoadable:
            if weights:
                raise
        return pretrained.cleared(through, source, where, optional)

    def _of_organization(self, source: str) -> str:
        """The name as sentence-transformers completes it."""
        organization = getattr(self._owner, "default_huggingface_organization", None)
        if organization is None or "/" in source or os.path.lexists(source):
            return source
        module = sys.modules.get("sentence_transformers.base.model")
        plain = getattr(module, "ORIGINAL_TRANSFORMER_MODELS", ())
        return source if source.lower() in plain else f"{organization}/{source}"
