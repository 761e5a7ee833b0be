"""The names of safe_load.transformers and safe_load.peft: a stand-in for each class that loads, all else as
it is.

Zone: the caller's process.
"""

from __future__ import annotations

import inspect
from functools import wraps
from threading import RLock
from types import MethodType, ModuleType
from typing import TYPE_CHECKING, Any

from safe_load.core.installed import MODELS, need
from safe_load.dropin import compat
from safe_load.dropin.guarding import here
from safe_load.dropin.pretrained import refuse

if TYPE_CHECKING:
    from collections.abc import Callable

#: Modules that load nothing. Any other would hand out the unguarded classes.
_MODULES = frozenset({"logging"})


class Names:
    """The names of a library, as one module gives them out.

    public: that module; upstream: the library, which is imported with the first name; brought_by: what pip
    has to install for it.
    """

    def __init__(self, public: str, upstream: str, brought_by: str = MODELS) -> None:
        self._public = public
        self._upstream = upstream
        self._brought_by = brought_by
        self._given: dict[str, Any] = {}
        self._lock = RLock()

    def get(self, name: str) -> Any:
        """As `__getattr__` of a module."""
        if name.startswith("__") and name not in ("__all__", "__version__"):
            # Python asks for __path__ and the like; the library's own would be wrong.
            raise AttributeError(f"module {self._public!r} has no attribute {name!r}")
        upstream = need(self._upstream, self._brought_by)
        if name == "__all__":
            return [public for public in dir(upstream) if not public.startswith("_")]
        with self._lock:
            if name not in self._given:
                self._given[name] = self._safe(name, getattr(upstream, name))
            return self._given[name]

    def all(self) -> list[str]:
        """As `__dir__` of a module."""
        return dir(need(self._upstream, self._brought_by))

    def _safe(self, name: str, value: object) -> object:
        if isinstance(value, ModuleType):
            if name not in _MODULES:
                raise AttributeError(
                    f"module {self._public!r} does not give out the module {name!r}, whose classes load "
                    "without the sandbox: import names from here, or use safe_load.guard()"
                )
        elif isinstance(value, type):
            if not compat.upstream().lacks_package(value) and any(
                _loads(method) for method in dir(value)
            ):
                return _stand_in(value, self._public)
        elif name == "pipeline":
            return _pipeline(value)
        return value


_transformers = Names("safe_load.transformers", "transformers")


def __getattr__(name: str) -> Any:
    return _transformers.get(name)


def __dir__() -> list[str]:
    return _transformers.all()


def _loads(method: str) -> bool:
    return method.startswith("from_") and "pretrained" in method


class _StandIn(type):
    """The class of stand-ins and of what is derived from them. `_stock`: the class that a stand-in
    stands for; what is derived from one has none, and is a class like any other."""

    _upstream: type | None

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        upstream = _upstream_of(cls)
        return super().__call__(*args, **kwargs) if upstream is None else upstream(*args, **kwargs)

    def __instancecheck__(cls, instance: object) -> bool:
        upstream = _upstream_of(cls)
        return (
            super().__instancecheck__(instance)
            if upstream is None
            else isinstance(instance, upstream)
        )

    def __subclasscheck__(cls, other: type) -> bool:
        upstream = _upstream_of(cls)
        return super().__subclasscheck__(other) if upstream is None else issubclass(other, upstream)

    def __setattr__(cls, name: str, value: object) -> None:
        upstream = _upstream_of(cls)
        super().__setattr__(name, value) if upstream is None else setattr(upstream, name, value)

    @property
    def __signature__(cls) -> inspect.Signature:
        upstream = _upstream_of(cls)
        if upstream is not None:
            return inspect.signature(upstream)
        signature = inspect.signature(cls.__init__)  # type: ignore[misc]
        return signature.replace(parameters=list(signature.parameters.values())[1:])


def _upstream_of(cls: type) -> type | None:
    upstream: type | None = vars(cls).get("_upstream")
    return upstream


def _stand_in(upstream: type, public: str) -> type:
    """A class that loads as the sandbox lets it, and makes objects of the stock class."""
    kind = type(upstream)
    metaclass = _StandIn if kind is type else type(kind.__name__, (_StandIn, kind), {})
    body: dict[str, Any] = {"__module__": public, "__doc__": upstream.__doc__}
    body |= {name: _loading(upstream, name) for name in dir(upstream) if _loads(name)}
    if compat.upstream().is_auto(upstream):
        body |= {
            name: method(upstream) for name, method in _AUTO.items() if hasattr(upstream, name)
        }
    made: type = metaclass(upstream.__name__, (upstream,), body)
    type.__setattr__(made, "__qualname__", upstream.__qualname__)
    type.__setattr__(made, "_upstream", upstream)
    return made


def _loading(upstream: type, name: str) -> classmethod[Any, ..., Any]:
    @wraps(getattr(upstream, name).__func__)
    def load(cls: type, *args: Any, **kwargs: Any) -> Any:
        with here():
            return _method(upstream, cls, name)(*args, **kwargs)

    return classmethod(load)


def _from_config(upstream: Any) -> classmethod[Any, ..., Any]:
    @wraps(upstream.from_config.__func__)
    def from_config(cls: type, *args: Any, **kwargs: Any) -> Any:
        refuse(kwargs)
        return _method(upstream, cls, "from_config")(*args, **kwargs | {"trust_remote_code": False})

    return classmethod(from_config)


def _register(upstream: Any) -> staticmethod[..., Any]:
    @wraps(upstream.register)
    def register(*args: Any, **kwargs: Any) -> Any:
        # The library looks classes up by what its objects are, which is never a stand-in.
        named = {name: _genuine(value) for name, value in kwargs.items()}
        return upstream.register(*map(_genuine, args), **named)

    return staticmethod(register)


#: What else the auto classes do that hands classes or code on.
_AUTO: dict[str, Callable[[Any], object]] = {"from_config": _from_config, "register": _register}


def _method(upstream: type, cls: type, name: str) -> Callable[..., Any]:
    """The stock method, bound to the stock class where `cls` only stands in for it."""
    owner = upstream if _upstream_of(cls) is upstream else cls
    return MethodType(getattr(upstream, name).__func__, owner)


def _genuine(value: object) -> object:
    return (_upstream_of(value) or value) if isinstance(value, type) else value


def _pipeline(upstream: Any) -> Callable[..., Any]:
    @wraps(upstream)
    def pipeline(*args: Any, **kwargs: Any) -> Any:
        refuse(inspect.signature(upstream).bind_partial(*args, **kwargs).arguments | kwargs)
        with here():
            return upstream(*args, **kwargs)

    return pipeline
