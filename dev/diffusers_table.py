"""Write loader/worker/rewrite/diffusers_keys.json: the classes of diffusers, and the keys that each takes.

Run with the newest diffusers beside safe-load: `python -m dev.diffusers_table`. It reads
the library's source and imports none of it. The controller only reads the table.

The table: {"diffusers": version, "pipelines" | "schedulers" | "models": {NAME: keys}, "parts": {MODULE of
diffusers.pipelines: the classes there that a pipeline may be made of}, "deprecated": MODULES that there were}. A class whose constructor loads
something by itself is not in it, nor is one that is not found under its name in the library.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from dev.config_table import render

_KINDS = {
    "pipelines": {"DiffusionPipeline"},
    "schedulers": {"SchedulerMixin"},
    "models": {"ModelMixin"},
}
#: Transformers' models that live beside a pipeline, as the safety checker does.
_FOREIGN = re.compile(r"\w*PreTrainedModel")
#: Of other frameworks, of another layout, or asked to find out by itself which class is meant.
_NEVER = re.compile(
    r"(Flax|Onnx|Auto(?!encoder)|Modular)\w*|\w*Multi(\w*Net\w*|Adapter)|DiffusionPipeline|ModelMixin"
)
_LOADS = re.compile(
    r"from_pretrained|from_single_file|hf_hub_download|snapshot_download|import_module|"
    r"load_state_dict_from_url|create_model|get_kernel"
)


@dataclass
class _Class:
    """folder: of diffusers.pipelines, or ""; keys: None when it has no constructor of its own;
    loads: whether it, or another class of its module, loads something when it is constructed."""

    folder: str
    bases: list[str]
    keys: list[str] | None = None
    loads: bool = False


def _classes(root: Path) -> dict[str, _Class]:
    found: dict[str, _Class] = {}
    for path in sorted(root.rglob("*.py")):
        parts = path.relative_to(root).parts
        if path.name.startswith("dummy_") or parts[0] == "modular_pipelines":
            continue
        folder = parts[1] if parts[0] == "pipelines" and len(parts) == 3 else ""
        nodes = [
            node
            for node in ast.parse(path.read_text("utf-8")).body
            if isinstance(node, ast.ClassDef)
        ]
        constructors = {
            node.name: statement
            for node in nodes
            for statement in node.body
            if isinstance(statement, ast.FunctionDef) and statement.name == "__init__"
        }
        loads = any(map(_loads, constructors.values()))
        for node in nodes:
            bases = [ast.unparse(base).rpartition(".")[2] for base in node.bases]
            found[node.name] = _Class(folder, bases, loads=loads)
            if node.name in constructors:
                args = constructors[node.name].args
                found[node.name].keys = [a.arg for a in (*args.args[1:], *args.kwonlyargs)]
    return found


def _loads(constructor: ast.FunctionDef) -> bool:
    return any(
        _LOADS.fullmatch(inner.attr if isinstance(inner, ast.Attribute) else inner.id)
        for inner in ast.walk(constructor)
        if isinstance(inner, ast.Attribute | ast.Name)
    )


def _ancestry(name: str, classes: dict[str, _Class]) -> list[str]:
    """The class and all it comes from, the nearest first."""
    order = [name]
    for each in order:
        order += [
            base for base in (classes[each].bases if each in classes else []) if base not in order
        ]
    return order


def table() -> dict[str, Any]:
    """The whole table, as it stands in the file."""
    root = Path(str(metadata.distribution("diffusers").locate_file("diffusers")))
    classes = _classes(root)
    shown = _named(root / "__init__.py")
    whole: dict[str, Any] = {"diffusers": metadata.version("diffusers")}
    whole |= {kind: {} for kind in _KINDS}
    parts: dict[str, list[str]] = {}
    for name, each in sorted(classes.items()):
        bases = _ancestry(name, classes)
        known = [classes[base] for base in bases if base in classes]
        if _NEVER.fullmatch(name) or any(base.loads for base in known):
            continue
        beside = bool(each.folder) and name in _named(
            root / "pipelines" / each.folder / "__init__.py"
        )
        kind = next((kind for kind, roots in _KINDS.items() if roots & set(bases[1:])), None)
        if kind == "pipelines" and not name.endswith("Pipeline"):
            continue
        if kind and (name in shown or (beside and kind != "pipelines")):
            keys = next((base.keys for base in known if base.keys is not None), [])
            whole[kind][name] = " ".join(sorted(keys))
        foreign = any(_FOREIGN.fullmatch(base) for base in bases[1:])
        if beside and (foreign or kind in ("models", "schedulers")):
            parts.setdefault(each.folder, []).append(name)
    whole["parts"] = {folder: " ".join(names) for folder, names in sorted(parts.items())}
    whole["deprecated"] = " ".join(
        sorted(p.name for p in root.glob("pipelines/deprecated/[a-z]*/"))
    )
    return whole


@cache
def _named(init: Path) -> set[str]:
    """The names that a package says it has."""
    tree = ast.parse(init.read_text("utf-8"))
    return {
        node.value for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    } | {
        alias.name for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }  # fmt: skip


if __name__ == "__main__":
    target = (
        Path(__file__).resolve().parents[1]
        / "loader"
        / "worker"
        / "rewrite"
        / "diffusers_keys.json"
    )
    target.write_text(render(table()), encoding="ascii")
