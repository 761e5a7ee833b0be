"""MLflow's description of a model, MLmodel: what loading the model imports, puts on Python's path and installs.
Zone: worker.

mlflow/pyfunc/__init__.py, load_model, puts the folder under `code` first on Python's path and imports the module under
`loader_module`; mlflow/models/model.py runs the file under `model_code_path`; whoever serves the model makes an
environment from conda.yaml, python_env.yaml and requirements.txt beside it. The models themselves are files of their
own formats, and judged as such.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from safe_load.worker.formats import plain_yaml
from safe_load.worker.formats.interface import Content, Format
from safe_load.worker.formats.texts import Text
from safe_load.worker.refusal import RefusedError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from safe_load.worker.formats.interface import File, Reading
    from safe_load.worker.formats.plain_yaml import Node

NAME = "MLmodel"
_FLAVORS = re.compile(rb"""^[{ ]{0,20}["']?flavors["']?[ ]*:""", re.MULTILINE)
_MODULE = re.compile(r"mlflow(?:\.[A-Za-z_]\w*)+")
#: Keys whose values are paths below the model's folder.
_PATHS = frozenset(
    ("code", "data", "model_data", "pickled_model", "python_model", "path", "model_path", "model_code_path")
)  # fmt: skip
_COMPONENTS = ("model", "tokenizer", "feature_extractor", "image_processor", "processor")
#: Of pip, in requirements.txt: options that take packages from elsewhere.
_ELSEWHERE = ("-i", "--index-url", "--extra-index-url", "-f", "--find-links", "--trusted-host", "-e", "--editable")  # fmt: skip
_FURTHER_FILE = ("-r", "--requirement", "-c", "--constraint")
_ENDS = (".whl", ".zip", ".tar.gz", ".tar.bz2", ".tgz", ".egg")
_SCHEME = re.compile(r"\b[A-Za-z][A-Za-z0-9+.-]{1,20}:/")
MAX_ENTRIES = 20_000
MAX_SHOWN = 20


class MlflowModel(Format):
    """An MLmodel, with the lists of what its environment installs."""

    name, called, loader = "mlflow", "a description of an MLflow model", "mlflow.pyfunc.load_model"
    weights = "those of the files beside it"
    hides = "modules and files of code that it imports, packages that its environment installs from elsewhere"

    def recognise(self, file: File) -> bool:
        """By the key under which all flavours lie, and one of theirs; what is called MLmodel is one."""
        if not Text().recognise(file):
            return False
        if file.name.rpartition("/")[2] == NAME:
            return True
        head = file.head
        return _FLAVORS.search(head) is not None and (
            b"python_function" in head or b"loader_module" in head
        )

    def read(self, file: File, reading: Reading) -> Content:
        """Data, with all that it makes MLflow run told."""
        content = Text().read(file, reading)
        try:
            root = plain_yaml.read(file.read(0, file.size))
        except RefusedError as refusal:
            reading.carries(
                "SL506", f"describes a model for MLflow that only MLflow can read: {refusal.reason}"
            )
            root = None
        flavors = root.get("flavors") if isinstance(root, dict) else None
        if isinstance(root, dict):
            _code(root, reading)
        for flavor in flavors.values() if isinstance(flavors, dict) else ():
            if isinstance(flavor, dict):
                _code(flavor, reading)
                _elsewhere(flavor, reading)
        for path, value in _paths(root):
            if _leaves(value):
                reading.carries(
                    "SL505",
                    f"says that {path} lies in {value[:200]!a}, outside of the model's folder",
                )
        for name, part in (reading.parts or {}).items():
            _environment(name, part, reading)
        content.format, content.why = self.name, "a description of an MLflow model"
        return content


def _code(table: dict[str, Node], reading: Reading) -> None:
    """The keys that make MLflow run or import what the model brings."""
    module = table.get("loader_module")
    if module is not None and not (isinstance(module, str) and _MODULE.fullmatch(module)):
        reading.carries("SL506", f"makes MLflow import the module {str(module)[:100]}")
    code = table.get("code")
    if code not in (None, "null", "~", "", {}, []):
        reading.carries(
            "SL506",
            f"makes MLflow put its folder {str(code)[:100]!a} first on Python's path, and import from it",
        )
    script = table.get("model_code_path")
    if script not in (None, "null", "~", ""):
        reading.carries(
            "SL506", f"makes MLflow run the program {str(script)[:100]!a} that it brings"
        )


def _elsewhere(flavor: dict[str, Node], reading: Reading) -> None:
    """A model whose weights are not beside it is loaded from the hub, up to 3.4 with the code of its repository
    (mlflow/transformers/model_io.py)."""
    for name in _COMPONENTS:
        repository = flavor.get(f"source_{name}_name")
        if isinstance(repository, str) and repository and "model_binary" not in flavor:
            reading.carries(
                "SL503",
                f"has MLflow load {repository[:200]!a} from the hub, and its code where transformers has no such class",
            )


def _paths(root: Node) -> Iterator[tuple[str, str]]:
    todo: list[tuple[str, Node]] = [("", root)]
    while todo:
        key, node = todo.pop()
        if isinstance(node, dict):
            todo += node.items()
        elif isinstance(node, list):
            todo += [(key, part) for part in node]
        elif node is not None and key in _PATHS:
            yield key, node


def _leaves(path: str) -> bool:
    steps = path.replace("\\", "/").split("/")
    return ".." in steps or path.startswith(("/", "\\", "~")) or path[1:2] == ":"


def _environment(name: str, file: File, reading: Reading) -> None:
    """Tell what an environment installs from elsewhere than the index and the channels of its user."""
    try:
        entries = list(_entries(name, file))
    except RefusedError as refusal:
        reading.carries(
            "SL503", f"is served from an environment, {name}, that cannot be read: {refusal.reason}"
        )
        return
    found = [entry for entry in entries if _is_elsewhere(entry)]
    for entry in found[:MAX_SHOWN]:
        reading.carries(
            "SL503", f"is served from an environment that installs {entry[:150]!a}, as {name} says"
        )
    if len(found) > MAX_SHOWN:
        reading.carries(
            "SL503", f"is served from an environment of {len(found)} such packages, as {name} says"
        )


def _entries(name: str, file: File) -> Iterator[str]:
    """What is to be installed, an entry each, and from which channels."""
    if file.size > plain_yaml.MAX_BYTES:
        raise RefusedError(f"it takes {file.size} bytes")
    data = file.read(0, file.size)
    if name.endswith(".txt"):
        text = data.decode("utf-8", "replace").replace("\\\r\n", " ").replace("\\\n", " ")
        lines = text.splitlines()
        if len(lines) > MAX_ENTRIES:
            raise RefusedError(f"it has more than {MAX_ENTRIES} lines")
        yield from lines
        return
    root = plain_yaml.read(data)
    todo: list[Node] = [root]
    while todo:
        node = todo.pop()
        if isinstance(node, dict):
            todo += [part for key, part in node.items() if key not in ("name", "prefix")]
        elif isinstance(node, list):
            todo += node
        elif node is not None:
            yield node


def _is_elsewhere(entry: str) -> bool:
    line = re.sub(r"(^|\s)#.*", "", entry).strip()
    if not line:
        return False
    word = re.split(r"[\s=]", line, maxsplit=1)[0]
    if word in _FURTHER_FILE or word[:2] in ("-r", "-c"):
        return _SCHEME.search(line) is not None or _leaves(line.split()[-1])
    if word.startswith("-"):
        short = word[:2] in _ELSEWHERE and not word.startswith("--")
        # pip takes any beginning of an option that no other one has.
        long = word.startswith("--") and any(each.startswith(word) for each in _ELSEWHERE)
        return short or long or _SCHEME.search(line) is not None
    plain = line.partition(";")[0].strip()
    return (
        _SCHEME.search(line) is not None
        or " @" in plain
        or "@ " in plain
        or plain.lower().endswith(_ENDS)
        or plain.startswith((".", "/", "~", "\\"))
        or "\\" in plain
    )
