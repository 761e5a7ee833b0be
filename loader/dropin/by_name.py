"""from_pretrained of a transformers class that is given by its name, by way of the sandbox.

Zone: the caller's process. transformers is imported with the first call.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, overload

from safe_load.core.errors import UsageError
from safe_load.dropin import stand_ins

if TYPE_CHECKING:
    from safe_load.api import Source
    from safe_load.dropin.auto_types import ModelClass
    from transformers import (
        PreTrainedConfig,
        PreTrainedModel,
        PreTrainedTokenizerBase,
        ProcessorMixin,
    )


@overload
def from_pretrained(
    source: Source, auto_class: Literal["AutoTokenizer"], **kwargs: Any
) -> PreTrainedTokenizerBase: ...
@overload
def from_pretrained(
    source: Source, auto_class: Literal["AutoConfig"], **kwargs: Any
) -> PreTrainedConfig: ...
@overload
def from_pretrained(
    source: Source, auto_class: Literal["AutoProcessor"], **kwargs: Any
) -> ProcessorMixin: ...
@overload
def from_pretrained(
    source: Source, auto_class: ModelClass = "AutoModel", **kwargs: Any
) -> PreTrainedModel: ...
@overload
def from_pretrained(source: Source, auto_class: str, **kwargs: Any) -> Any: ...
def from_pretrained(source: Source, auto_class: str = "AutoModel", **kwargs: Any) -> Any:
    """Load an object of a transformers class from a cleared copy.

    Args:
        source: A folder, or a name on a hub, as for that class.
        auto_class: The name of the class, e.g. "AutoModelForCausalLM" or "BertModel".
        **kwargs: The arguments of that class's own from_pretrained, e.g. revision or dtype.

    Returns:
        transformers' own object.

    Raises:
        UsageError: transformers has no class of that name, or an argument asks to run a model's code.
        Rejected, NotLoadable, SandboxError, LimitHit: As for `load`.
    """
    cls = getattr(stand_ins, auto_class, None) if isinstance(auto_class, str) else None
    if not (isinstance(cls, type) and hasattr(cls, "from_pretrained")):
        raise UsageError(
            f"auto_class={auto_class!r}: transformers has no class of that name that loads models"
        )
    return cls.from_pretrained(source, **kwargs)
