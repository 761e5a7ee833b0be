"""What the drop-in asks of a version of transformers beyond what that documents.

Zone: the caller's process. Nothing else in `dropin` names what transformers keeps to itself. To support a
new version, write a module beside this one with a class that is derived from `Upstream`, and choose it in
`compat.of_version`.
"""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping


class LeftOut(NamedTuple):
    """A function that reads a source by itself, and what a guarded call gets in its place.

    owner: the module or class that holds it; name: its name there.
    """

    owner: Any
    name: str
    instead: Callable[..., Any]


def nothing(*_args: Any, **_kwargs: Any) -> None:
    """What a look-up finds that does not take place."""


class Upstream(ABC):
    """One range of versions. What all ranges have in common is here."""

    #: Arguments of from_pretrained that are used up when the folder is chosen and cleared.
    used_up: tuple[str, ...] = (
        "code_revision", "use_auth_token", "resume_download", "mirror", "_commit_hash",
    )  # fmt: skip
    #: The attributes in which objects keep the name that they were loaded by.
    names: tuple[str, ...] = ("name_or_path", "_name_or_path")
    #: The keys of configurations whose models read from their source again when they are used.
    read_later: tuple[str, ...]
    #: Module below transformers -> a class in it that reads a source by itself, and that transformers
    #: shows nobody (for want of a package, while its own code uses it) or imports only when asked for it.
    hidden: ClassVar[Mapping[str, str]]

    @abstractmethod
    def roots(self) -> list[type]:
        """The classes from which all others that read a source derive, but for the hidden ones."""

    @abstractmethod
    def left_out(self) -> Iterator[LeftOut]:
        """What pipeline() looks for in the source itself, as far as it is loaded."""

    def asks_its_base(self, owner: type) -> bool:
        """Whether a class's from_pretrained reads nothing but hands on to that of its base class."""
        # A backbone asks the hub whether it knows the name as it was given, and then its base class.
        return owner is self._auto_factory()._BaseAutoBackboneClass

    def uncover(self) -> None:
        """Import every hidden class, so that `shown` finds it."""
        for module in self.hidden:
            # It needs a package that is not there: then it loads nothing either.
            # 4.57 answers with a NameError in that case.
            with suppress(ImportError, NameError):
                import_module(f"transformers.{module}")

    def shown(self) -> Iterator[type]:
        """The hidden classes that are imported by now."""
        for module, name in self.hidden.items():
            found = getattr(sys.modules.get(f"transformers.{module}"), name, None)
            if isinstance(found, type):
                yield found

    def is_own(self, cls: type) -> bool:
        """Whether it is a class of transformers."""
        return cls.__module__.startswith("transformers.")

    def is_auto(self, cls: type) -> bool:
        """Whether a class, or one that it derives from, chooses among others by the configuration."""
        return any(base.__module__.startswith("transformers.models.auto.") for base in cls.__mro__)

    def is_model(self, cls: type) -> bool:
        """Whether a class loads weights."""
        names = {base.__name__ for base in cls.__mro__}
        return bool({"PreTrainedModel", "_BaseAutoModelClass"} & names)

    def lacks_package(self, cls: type) -> bool:
        """Whether a class only says which package it would need."""
        # Such a class raises ImportError for every question but this one.
        return hasattr(type(cls), "is_dummy")

    def _auto_factory(self) -> Any:
        return import_module("transformers.models.auto.auto_factory")

    def _roots(self, config: str) -> list[type]:
        import transformers  # noqa: PLC0415 - only who loads models pays for it

        public = (
            "PreTrainedModel", config, "GenerationConfig", "PreTrainedTokenizerBase",
            "FeatureExtractionMixin", "ProcessorMixin", "AutoConfig", "AutoTokenizer", "AutoProcessor",
            "AutoFeatureExtractor",
        )  # fmt: skip
        return [
            *(getattr(transformers, name) for name in public),
            self._auto_factory()._BaseAutoModelClass,
            *self.shown(),
        ]
