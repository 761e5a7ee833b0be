"""transformers, with every model opened by way of the sandbox. Change one import:

    from safe_load.transformers import AutoModelForCausalLM, AutoTokenizer, pipeline

All that transformers has is here under its name. A class with from_pretrained is a stand-in: it
makes, and counts as its own, objects of the genuine class, and reads only cleared folders. All else
is the very object that transformers has. Importing this module imports nothing; transformers comes
with the first name.

Zone: the caller's process.
"""

from __future__ import annotations

import inspect
from functools import wraps
from threading import RLock
from types import MethodType, ModuleType
from typing import TYPE_CHECKING, Any

from safe_load.dropin.guarding import here
from safe_load.dropin.pretrained import refuse

if TYPE_CHECKING:
    from collections.abc import Callable

    from transformers import *  # noqa: F403 - type checkers see what is there

#: Modules that load nothing. Any other would hand out the unguarded classes.
_MODULES = frozenset({"logging"})
_lock = RLock()


def __getattr__(name: str) -> Any:
    if name.startswith("__") and name not in ("__all__", "__version__"):
        # Python asks for __path__ and the like; transformers' own would be wrong.
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import transformers as stock  # noqa: PLC0415 - imported with the first name

    if name == "__all__":
        return [public for public in dir(stock) if not public.startswith("_")]
    with _lock:
        if name not in globals():
            globals()[name] = _safe(name, getattr(stock, name))
        return globals()[name]


def __dir__() -> list[str]:
    import transformers as stock  # noqa: PLC0415

    return dir(stock)


def _safe(name: str, value: object) -> object:
    if isinstance(value, ModuleType):
        if name not in _MODULES:
            raise AttributeError(
                f"module {__name__!r} does not give out the module {name!r}, whose classes load "
                "without the sandbox: import names from here, or use safe_load.guard()"
            )
    elif isinstance(value, type):
        # What needs a package that is not there raises ImportError for every question but this one.
        if not hasattr(type(value), "is_dummy") and any(_loads(method) for method in dir(value)):
            return _stand_in(value)
    elif name == "pipeline":
        return _pipeline(value)
    return value


def _loads(method: str) -> bool:
    return method.startswith("from_") and "pretrained" in method


class _StandIn(type):
    """The class of stand-ins and of what is derived from them. `_stock`: the class that a stand-in
    stands for; what is derived from one has none, and is a class like any other."""

    _stock: type | None

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        stock = _stock_of(cls)
        return super().__call__(*args, **kwargs) if stock is None else stock(*args, **kwargs)

    def __instancecheck__(cls, instance: object) -> bool:
        stock = _stock_of(cls)
        return super().__instancecheck__(instance) if stock is None else isinstance(instance, stock)

    def __subclasscheck__(cls, other: type) -> bool:
        stock = _stock_of(cls)
        return super().__subclasscheck__(other) if stock is None else issubclass(other, stock)

    def __setattr__(cls, name: str, value: object) -> None:
        stock = _stock_of(cls)
        super().__setattr__(name, value) if stock is None else setattr(stock, name, value)

    @property
    def __signature__(cls) -> inspect.Signature:
        stock = _stock_of(cls)
        if stock is not None:
            return inspect.signature(stock)
        signature = inspect.signature(cls.__init__)  # type: ignore[misc]
        return signature.replace(parameters=list(signature.parameters.values())[1:])


def _stock_of(cls: type) -> type | None:
    stock: type | None = vars(cls).get("_stock")
    return stock


def _stand_in(stock: type) -> type:
    """A class that loads as the sandbox lets it, and makes objects of the stock class."""
    kind = type(stock)
    metaclass = _StandIn if kind is type else type(kind.__name__, (_StandIn, kind), {})
    body: dict[str, Any] = {"__module__": __name__, "__doc__": stock.__doc__}
    body |= {name: _loading(stock, name) for name in dir(stock) if _loads(name)}
    if stock.__module__.startswith("transformers.models.auto."):
        body |= {name: method(stock) for name, method in _AUTO.items() if hasattr(stock, name)}
    made: type = metaclass(stock.__name__, (stock,), body)
    type.__setattr__(made, "__qualname__", stock.__qualname__)
    type.__setattr__(made, "_stock", stock)
    return made


def _loading(stock: type, name: str) -> classmethod[Any, ..., Any]:
    @wraps(getattr(stock, name).__func__)
    def load(cls: type, *args: Any, **kwargs: Any) -> Any:
        with here():
            return _method(stock, cls, name)(*args, **kwargs)

    return classmethod(load)


def _from_config(stock: Any) -> classmethod[Any, ..., Any]:
    @wraps(stock.from_config.__func__)
    def from_config(cls: type, *args: Any, **kwargs: Any) -> Any:
        refuse(kwargs)
        return _method(stock, cls, "from_config")(*args, **kwargs | {"trust_remote_code": False})

    return classmethod(from_config)


def _register(stock: Any) -> staticmethod[..., Any]:
    @wraps(stock.register)
    def register(*args: Any, **kwargs: Any) -> Any:
        # The library looks classes up by what its objects are, which is never a stand-in.
        named = {name: _genuine(value) for name, value in kwargs.items()}
        return stock.register(*map(_genuine, args), **named)

    return staticmethod(register)


#: What else the auto classes do that hands classes or code on.
_AUTO: dict[str, Callable[[Any], object]] = {"from_config": _from_config, "register": _register}


def _method(stock: type, cls: type, name: str) -> Callable[..., Any]:
    """The stock method, bound to the stock class where `cls` only stands in for it."""
    owner = stock if _stock_of(cls) is stock else cls
    return MethodType(getattr(stock, name).__func__, owner)


def _genuine(value: object) -> object:
    return (_stock_of(value) or value) if isinstance(value, type) else value


def _pipeline(stock: Any) -> Callable[..., Any]:
    @wraps(stock)
    def pipeline(*args: Any, **kwargs: Any) -> Any:
        refuse(inspect.signature(stock).bind_partial(*args, **kwargs).arguments | kwargs)
        with here():
            return stock(*args, **kwargs)

    return pipeline
