"""Write loader/worker/formats/keras_names.json: the classes and functions that Keras has under its own names.

    python -m dev.keras_table FOLDER... > loader/worker/formats/keras_names.json

FOLDER: an unpacked wheel of one version of Keras or tf_keras each. Read as text, nothing is imported. Of functions
only those that a configuration names by a text: losses, metrics and activations.
"""

from __future__ import annotations

import ast
import json
import sys
from pathlib import Path

_FUNCTIONS = ("losses", "metrics", "activations", "objectives")


def names(folder: Path) -> tuple[set[str], set[str]]:
    """The classes, and the functions by which losses and metrics are named."""
    classes: set[str] = set()
    functions: set[str] = set()
    for path in folder.rglob("*.py"):
        if "test" in path.name or "tests" in path.parts:
            continue
        tree = ast.parse(path.read_text("utf-8"))
        classes |= {node.name for node in ast.walk(tree) if isinstance(node, ast.ClassDef)}
        if not any(part.removesuffix(".py") in _FUNCTIONS for part in path.parts):
            continue
        for node in tree.body:
            if isinstance(node, ast.FunctionDef):
                functions.add(node.name)
            elif isinstance(node, ast.Assign):  # mse = MSE = mean_squared_error
                functions |= {each.id for each in node.targets if isinstance(each, ast.Name)}
        # {"mse": mean_squared_error}
        functions |= {
            key.value
            for node in ast.walk(tree)
            if isinstance(node, ast.Dict)
            for key in node.keys
            if isinstance(key, ast.Constant) and isinstance(key.value, str) and key.value.isidentifier()
        }  # fmt: skip
    return classes, functions


def main() -> None:
    """Print the table."""
    found = [names(Path(folder)) for folder in sys.argv[1:]]
    table = {
        "classes": sorted(set().union(*(classes for classes, _ in found))),
        "functions": sorted(
            name for name in set().union(*(each for _, each in found)) if not name.startswith("_")
        ),
    }
    print(json.dumps(table, indent=0))


if __name__ == "__main__":
    main()
