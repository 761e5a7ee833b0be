"""Functions and classes that a pickle brings as code or as source, and does not name. Zone: worker.

cloudpickle and dill write a function of `__main__` as its code object, StyleGAN's persistence writes the source
of a class's module. Whoever loads such a pickle has, and may run, the file's own code. That is one fact
of the file, whatever parts the code is put together from: each is recorded with the use "code". A call of what
was so made is a fact of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from safe_load.worker.pickle_vm import held
from safe_load.worker.pickle_vm.arguments import expect, need
from safe_load.worker.pickle_vm.shapes import MAKERS
from safe_load.worker.pickle_vm.values import Global, Stub

if TYPE_CHECKING:
    from collections.abc import Callable

    from safe_load.worker.pickle_vm.calls import Call

#: Where cloudpickle (0.5 to 3.1) is found, alone and within other libraries.
_CLOUDPICKLES = tuple(
    f"{package}.{module}"
    for package in (
        "cloudpickle",
        "joblib.externals.cloudpickle",
        "ray.cloudpickle",
        "srsly.cloudpickle",
        "pyspark.cloudpickle",
    )
    for module in ("cloudpickle", "cloudpickle_fast")
)
#: Its functions that make a part of code, or fill one, of parts that they are given.
_CLOUDPICKLE_PARTS = (
    "_make_function",
    "_make_skel_func",
    "_make_cell",
    "_make_empty_cell",
    "_make_typevar",
    "dynamic_subimport",
)
_CLOUDPICKLE_FILLS = (
    "_function_setstate",
    "_class_setstate",
    "_fill_function",
    "_rehydrate_skeleton_class",
)
#: Those of dill (0.3 to 0.4).
_DILL_PARTS = ("_create_function", "_create_code", "_create_cell")
_METACLASSES = frozenset({"builtins.type", "abc.ABCMeta", "enum.EnumMeta", "enum.EnumType"})
_ENUMS = frozenset(f"{module}._make_skeleton_enum" for module in _CLOUDPICKLES)
#: Makers of classes, of which a pickle may make objects.
_CLASSES = frozenset(
    {
        *(f"{module}._make_skeleton_class" for module in _CLOUDPICKLES),
        *_ENUMS,
        "dill._dill._create_type",
        "dill._dill._create_namedtuple",
    }
)
#: What an object of such a class is made by.
_OBJECTS = frozenset(f"{name}()" for name in _CLASSES)
#: What BUILD may fill besides: dill's functions, and partials of them.
_FILLED = _OBJECTS | {"dill._dill._create_function", "dill._dill._load_type()"}
#: What Python's own types are named by. Of these, some make a part of code of another part.
_TYPES = frozenset({*(f"{module}._builtin_type" for module in _CLOUDPICKLES), "dill._dill._load_type"})  # fmt: skip
_CALLED_TYPES = frozenset({"MethodType", "PartialType"})
_IMPORTS = frozenset({*(f"{module}.subimport" for module in _CLOUDPICKLES), "dill._dill._import_module"})  # fmt: skip


def _made(call: Call) -> Stub:
    """A part of the file's own code, recorded."""
    call.world.ledger.called(call.func.name, call.opcode, call.offset, call.args, "code")
    return Stub(call.func.name, call.args, trust="code")


def _filled(call: Call) -> object:
    """What fills a function or class that the file brings, and gives it back."""
    need(call.args and is_code(call.args[0]))
    call.world.ledger.called(call.func.name, call.opcode, call.offset, call.args, "code")
    return call.args[0]


def is_code(value: object) -> bool:
    """Whether a value is a part of the code that the file brings, or an object of a class of it."""
    return isinstance(value, Stub) and value.trust == "code"


def _class(call: Call) -> object:
    """A class: its metaclass is called, and its bases have their say (types.new_class)."""
    metaclass, name, bases, *_ = call.take(3, 8)
    if isinstance(metaclass, Stub):
        need(metaclass.made_by in _CLASSES or _type_name(metaclass) in {"type", "TypeType"})
    else:
        need(expect(metaclass, Global).name in _METACLASSES)
    expect(name, str)
    _bases(bases)
    return _made(call)


def _bases(bases: object) -> None:
    for base in expect(bases, tuple):
        need(isinstance(base, Global) or is_code(base))


def _enum(call: Call) -> object:
    """_make_skeleton_enum(bases, name, qualname, members, module, class_tracker_id, extra)."""
    bases, name, *_ = call.take(5, 7)
    expect(name, str)
    _bases(bases)
    return _made(call)


def _named_tuple(call: Call) -> object:
    """dill._dill._create_namedtuple(name, fieldnames, modulename, defaults=None): importing the module is
    tried first."""
    name, fields, module, _ = call.take(3, 4)
    need(isinstance(name, str) and isinstance(fields, (tuple, list)))
    call.world.ledger.package(expect(module, str))
    return _made(call)


def _type(call: Call) -> object:
    (name,) = call.take(1, 1)
    need(expect(name, str).isidentifier())
    return _made(call)


def _type_name(value: object) -> str:
    """The name of the type that cloudpickle and dill looked up by name, "" for anything else."""
    if isinstance(value, Stub) and value.made_by in _TYPES and isinstance(value.args, tuple):
        return str(value.args[0])
    return ""


def _wrapped(call: Call) -> object:
    """A method or property of a class that the file brings."""
    need(
        call.args and all(arg is None or is_code(arg) or isinstance(arg, str) for arg in call.args)
    )
    return _made(call)


def _attribute(call: Call) -> object:
    """dill sets attributes of the functions, cells and classes that a file brings."""
    target, name, value = call.take(3, 3)
    need(is_code(target))
    expect(name, str)
    call.world.hold(expect(target, Stub), value, call.opcode, call.offset)
    return _made(call)


def _import(call: Call) -> object:
    """A module that the file's code uses: importing it runs it, as naming it would."""
    name, _ = call.take(1, 2)
    dotted = expect(name, str)
    need(dotted and all(part.isidentifier() for part in dotted.split(".")))
    call.world.ledger.package(dotted)
    return _made(call)


def _source(call: Call) -> object:
    """torch_utils/persistence.py of StyleGAN 2 and 3 and EDM: a class's state beside the source of its module,
    which is run when the class is asked for."""
    (meta,) = call.take(1, 1)
    parts = expect(meta, dict)
    need(parts.get("type") == "class")
    for key in ("module_src", "class_name"):
        expect(parts.get(key), str)
    made = _made(call)
    call.world.hold(made, parts.get("state"), call.opcode, call.offset)
    return made


def made_of_code(func: Stub, args: tuple[object, ...], opcode: str) -> bool:
    """Whether such a call of what the file brings makes no more than another part of it: an object of its
    class, or a code object or a method of parts."""
    if func.trust != "code":
        return False
    if func.made_by in _CLASSES and opcode in MAKERS:
        return True
    if func.made_by in _ENUMS and len(args) == 1 and held.is_data(args):
        return True  # a member
    kind = _type_name(func)
    if kind == "MappingProxyType":
        return len(args) == 1 and held.is_data(args)
    return kind == "CodeType" or (kind in _CALLED_TYPES and bool(args) and is_code(args[0]))


def is_object(stub: Stub, *, state: bool = False) -> bool:
    """Whether it is an object of a class that the file brings: filling it runs no code but the file's own.
    state: or a function of the file's, which BUILD may fill too."""
    return stub.trust == "code" and stub.made_by in (_FILLED if state else _OBJECTS)


#: Callable -> its builder. None of these names is ordinary: see stubs.StubEnvironment.find.
BUILDERS: dict[str, Callable[[Call], object]] = {
    "torch_utils.persistence._reconstruct_persistent_obj": _source,
    **{f"{module}.{name}": _made for module in _CLOUDPICKLES for name in _CLOUDPICKLE_PARTS},
    **{f"{module}.{name}": _filled for module in _CLOUDPICKLES for name in _CLOUDPICKLE_FILLS},
    **{f"dill._dill.{name}": _made for name in _DILL_PARTS},
    **dict.fromkeys(_CLASSES, _class),
    **dict.fromkeys(_ENUMS, _enum),
    "dill._dill._create_namedtuple": _named_tuple,
    **{f"builtins.{name}": _wrapped for name in ("classmethod", "staticmethod", "property")},
    "builtins.setattr": _attribute,
    **{f"{module}._get_dataclass_field_type_sentinel": _type for module in _CLOUDPICKLES},
    **dict.fromkeys(_TYPES, _type),
    **dict.fromkeys(_IMPORTS, _import),
}
