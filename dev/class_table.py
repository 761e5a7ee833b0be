"""Write loader/worker/rewrite/class_keys.json: which keys the tokenizers and processors of transformers take.

Run with the newest supported transformers: `python -m dev.class_table`. It reads the
library's source and imports none of it, so that the table is the same whether or not torchvision,
sentencepiece and the like are installed. The controller only reads the table.

The table: {"transformers": version, "tokenizer" | "image_processor" | "video_processor" |
"feature_extractor" | "processor": {"common": KEYS, "classes": {NAME: KEYS}}, "backends": {BACKEND:
tokenizers that are built on it}, "files": {FILE: tokenizers that read it}}. KEYS maps kinds of values
to keys as in config_table.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

from dev.config_table import render

_ANY = "dlsv"
#: Kind of class -> the names its modules begin with, and the classes that all others come from.
_KINDS = {
    "tokenizer": ("tokenization_", {"PreTrainedTokenizerBase"}),
    "image_processor": ("image_processing_", {"ImageProcessingMixin"}),
    "video_processor": ("video_processing_", {"BaseVideoProcessor"}),
    "feature_extractor": ("feature_extraction_", {"FeatureExtractionMixin"}),
    "processor": ("processing_", {"ProcessorMixin"}),
}
#: What tokenizers are built on, the nearest first.
_BACKENDS = ("SentencePieceBackend", "TokenizersBackend", "PythonBackend")
#: What they all share is among the common keys.
_ROOTS = {
    *_BACKENDS,
    "PreTrainedTokenizerBase",
    "ProcessorMixin",
    "ImageProcessingMixin",
    "PushToHubMixin",
}
_PLAIN = {
    **dict.fromkeys(("bool", "int", "float"), "v"),
    **dict.fromkeys(("str", "Path", "PaddingStrategy", "ChannelDimension", "TensorType"), "s"),
    **dict.fromkeys(("list", "tuple", "List", "Tuple", "Sequence", "Collection", "Iterable"), "l"),
    **dict.fromkeys(("dict", "Dict", "SizeDict", "Mapping"), "d"),
    "PILImageResampling": "v", "AddedToken": "ds", "None": "", "NoneType": "",
}  # fmt: skip
#: Never read from a file: what a caller passes, what names a file, and what is made out of files.
_NEVER = re.compile(
    r"_.*|kwargs|.*_files?|vocab|merges|tokenizer_object|device|return_tensors|token|files_loaded|"
    r"valid_kwargs|unused_kwargs|attributes|.*_class|auto_map|name_or_path|trust_remote_code|is_local|"
    r"local_files_only|backend|post_processor|sp_model|sp_model_kwargs|proto|.*_map_attr|.*_path|.*repo.*|.*_dir|.*_spm|video_metadata"
)
#: Loads two tokenizers from the hub when it is constructed, whatever its files say.
_FETCHING = {"MgpstrProcessor"}
#: Read by transformers itself, or written by versions that people still load files of.
_COMMON: dict[str, dict[str, str]] = {
    "tokenizer": {
        "model_max_length": "v", "max_len": "v", "padding_side": "s", "truncation_side": "s",
        "clean_up_tokenization_spaces": "v", "split_special_tokens": "v", "model_input_names": "l",
        "clean_up_tokenization_spaces_for_bpe_even_though_it_will_corrupt_output": "v",
        "add_prefix_space": "v", "add_bos_token": "v", "add_eos_token": "v", "do_lower_case": "v",
        "legacy": "v", "use_default_system_prompt": "v", "spaces_between_special_tokens": "v",
        "max_length": "v", "stride": "v", "truncation_strategy": "s", "pad_token_type_id": "v",
        "pad_to_multiple_of": "v", "errors": "s", "trim_offsets": "v", "strip_accents": "v",
        "tokenize_chinese_chars": "v", "do_basic_tokenize": "v", "never_split": "l",
        "fix_mistral_regex": "v", "from_slow": "v", "backend": "s", "verbose": "v",
    },
    "image_processor": {"feature_extractor_type": "s", "image_processor_type": "s"},
    "video_processor": {"video_processor_type": "s"},
    "feature_extractor": {"feature_extractor_type": "s"},
    "processor": {},
}  # fmt: skip


@dataclass
class _Class:
    """What the source says of one class. keys: of its own; files: VOCAB_FILES_NAMES of its module."""

    module: str
    bases: list[str]
    keys: dict[str, str] = field(default_factory=dict)
    files: list[str] = field(default_factory=list)


def _kinds_of(annotation: ast.expr | None) -> str:
    """The letters of the JSON values that an annotation allows; all of them without one."""
    match annotation:
        case None:
            return _ANY
        case ast.Constant(value=None):
            return ""
        case ast.Constant(value=str(text)):
            return _kinds_of(ast.parse(text, mode="eval").body)
        case ast.BinOp(left=left, right=right):
            return "".join(sorted({*_kinds_of(left), *_kinds_of(right)}))
        case ast.Subscript(value=value, slice=inner):
            name = ast.unparse(value).rpartition(".")[2]
            if name in ("Optional", "Union", "Annotated"):
                members = inner.elts if isinstance(inner, ast.Tuple) else [inner]
                members = members[:1] if name == "Annotated" else members
                return "".join(sorted(set("".join(map(_kinds_of, members)))))
            return _kinds_of(value)
        case ast.Name() | ast.Attribute():
            return _PLAIN.get(ast.unparse(annotation).rpartition(".")[2], _ANY)
    return _ANY


def _own_keys(node: ast.ClassDef, *, attributes: bool) -> dict[str, str]:
    """Names that a class's constructor takes. attributes: and those that its instances have, since
    what writes its file writes all of them."""
    keys: dict[str, str] = {}
    for statement in node.body:
        match statement:
            case ast.AnnAssign(target=ast.Name(id=name), annotation=annotation) if attributes:
                keys[name] = _kinds_of(annotation)
            case ast.Assign(targets=[ast.Name(id=name)], value=value) if attributes:
                keys.setdefault(name, _kinds_of_value(value))
            case ast.FunctionDef(name="__init__", args=args):
                for argument in (*args.args[1:], *args.kwonlyargs):
                    keys[argument.arg] = _kinds_of(argument.annotation)
                for inner in ast.walk(statement):
                    match inner:
                        case ast.Assign(
                            targets=[ast.Attribute(value=ast.Name(id="self"), attr=name)]
                        ) if attributes:
                            keys.setdefault(name, _ANY)
                        case ast.Call(
                            func=ast.Attribute(value=ast.Name(id="kwargs"), attr="pop" | "get"),
                            args=[ast.Constant(value=str(name)), *_],
                        ):
                            keys.setdefault(name, _ANY)
    return {
        key: kinds or _ANY
        for key, kinds in keys.items()
        if not _NEVER.fullmatch(key) and not key.isupper()
    }


def _kinds_of_value(value: ast.expr) -> str:
    match value:
        case ast.Constant(value=bool() | int() | float()):
            return "v"
        case ast.Constant(value=str()):
            return "s"
        case ast.List() | ast.Tuple():
            return "l"
    return _ANY


def _classes() -> dict[str, _Class]:
    """Every class of the library, by its name."""
    root = Path(str(metadata.distribution("transformers").locate_file("transformers")))
    found: dict[str, _Class] = {}
    for path in sorted([*root.glob("*.py"), *root.glob("models/*/*process*.py"),
                        *root.glob("models/*/tokenization_*.py"),
                        *root.glob("models/*/feature_extraction_*.py")]):  # fmt: skip
        tree = ast.parse(path.read_text("utf-8"))
        files = [
            file
            for statement in tree.body
            if isinstance(statement, ast.Assign)
            and ast.unparse(statement.targets[0]) == "VOCAB_FILES_NAMES"
            and isinstance(statement.value, ast.Dict)
            for value in statement.value.values
            if isinstance(value, ast.Constant) and isinstance(file := value.value, str)
        ]
        renamed = {
            alias.asname: alias.name
            for node in tree.body
            if isinstance(node, ast.ImportFrom)
            for alias in node.names
            if alias.asname
        }
        for node in tree.body:
            if isinstance(node, ast.ClassDef):
                bases = [ast.unparse(base).rpartition(".")[2] for base in node.bases]
                constructed = path.stem.startswith(("tokenization_", "processing_"))
                attributes = node.name.endswith("Kwargs") or not constructed
                keys = _own_keys(node, attributes=attributes)
                found[node.name] = _Class(path.stem, bases, keys, files)
            elif isinstance(node, ast.Assign) and isinstance(node.value, ast.Name):
                # Old names: PreTrainedTokenizer = PythonBackend, XTokenizerFast = XTokenizer.
                origin = renamed.get(node.value.id, node.value.id)
                for target in node.targets:
                    if isinstance(target, ast.Name) and origin[0].isupper():
                        found.setdefault(target.id, _Class(path.stem, [origin]))
    for name, origin in _converted(root).items():
        found.setdefault(name, _Class("tokenization_", [origin]))
    return found


def _converted(root: Path) -> dict[str, str]:
    """Tokenizers that are another one under a name of their own (transformers/__init__.py makes
    LEDTokenizer out of RobertaTokenizer): those that are converted as that one is."""
    tree = ast.parse((root / "convert_slow_tokenizer.py").read_text("utf-8"))
    for node in tree.body:
        match node:
            case ast.Assign(
                targets=[ast.Name(id="SLOW_TO_FAST_CONVERTERS")], value=ast.Dict() as table
            ):
                return {
                    str(ast.literal_eval(key)): ast.unparse(value).replace("Converter", "Tokenizer")
                    for key, value in zip(table.keys, table.values, strict=True)
                    if key is not None
                }
    return {}


def _ancestry(name: str, classes: dict[str, _Class]) -> list[str]:
    """The class and all it comes from, the nearest first."""
    order = [name]
    for each in order:
        order += [base for base in classes.get(each, _Class("", [])).bases if base not in order]
    return order


def table() -> dict[str, Any]:
    """The whole table, as it stands in the file."""
    classes = _classes()
    parents = {name: _ancestry(name, classes) for name in classes}
    keywords = {"image_processor": "ImagesKwargs", "video_processor": "VideosKwargs"}
    whole: dict[str, Any] = {"transformers": metadata.version("transformers")}
    for kind, (prefix, roots) in _KINDS.items():
        members = {
            name: parents[name]
            for name, each in sorted(classes.items())
            if roots & set(parents[name][1:])
            and (each.module.startswith(prefix) or kind == "tokenizer")
            and name not in _FETCHING
        }
        common = dict(_COMMON[kind])
        if kind in keywords:
            common |= classes[keywords[kind]].keys
        whole[kind] = {
            "common": _grouped(common),
            "classes": {
                name: _grouped(_keys_of(ancestry, classes, common))
                for name, ancestry in members.items()
            },
        }
    tokenizers = whole["tokenizer"]["classes"]
    whole["backends"] = {
        backend: " ".join(
            name
            for name in tokenizers
            if next((base for base in parents[name] if base in _BACKENDS), None) == backend
        )
        for backend in _BACKENDS
    }
    files: dict[str, list[str]] = {}
    for name in tokenizers:
        for file in next(
            (
                classes[base].files
                for base in parents[name]
                if base in classes and classes[base].files
            ),
            [],
        ):
            files.setdefault(file, []).append(name)
    whole["files"] = {file: " ".join(names) for file, names in sorted(files.items())}
    return whole


def _keys_of(
    ancestry: list[str], classes: dict[str, _Class], common: dict[str, str]
) -> dict[str, str]:
    """The keys of a class beyond the common ones, its keyword dictionaries' included."""
    keys: dict[str, str] = {}
    stems = {base.removesuffix("Fast").removesuffix("Pil") for base in ancestry}
    dictionaries = [each for each in classes if each.endswith("Kwargs") and _serves(each, stems)]
    for each in [*ancestry, *dictionaries]:
        if each in classes and each not in _ROOTS:
            for key, kinds in classes[each].keys.items():
                keys.setdefault(key, kinds)
    return {key: kinds for key, kinds in sorted(keys.items()) if key not in common}


def _serves(dictionary: str, stems: set[str]) -> bool:
    """Whether XImageProcessorKwargs and the like belong to one of these classes."""
    return dictionary.removesuffix("Kwargs").removesuffix("Fast") in stems


def _grouped(keys: dict[str, str]) -> dict[str, str]:
    return {
        kind: " ".join(sorted(key for key, its in keys.items() if its == kind))
        for kind in sorted(set(keys.values()))
    }


def render_table(whole: dict[str, Any]) -> str:
    """The table as JSON, one class to a line."""
    flat: dict[str, Any] = {}
    for key, value in whole.items():
        if isinstance(value, dict) and "classes" in value:
            flat[f"{key} common"] = value["common"]
            flat[f"{key} classes"] = value["classes"]
        else:
            flat[key] = value
    return render(flat)


if __name__ == "__main__":
    target = (
        Path(__file__).resolve().parents[1] / "loader" / "worker" / "rewrite" / "class_keys.json"
    )
    target.write_text(render_table(table()), encoding="ascii")
