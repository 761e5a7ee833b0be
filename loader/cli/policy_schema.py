"""The JSON Schema of a configuration file: safe-load.toml, and [tool.safe-load] of a pyproject.toml."""

from __future__ import annotations

from typing import Any

import msgspec
from safe_load.cli.policy import BY_PATH
from safe_load.cli.settings import SETTINGS
from safe_load.core.fail_on import FAIL_ON
from safe_load.core.options import (
    BACKENDS,
    DEPTHS,
    DTYPES,
    KEEP,
    NAMES,
    QUANTISED,
    RECORDS,
)
from safe_load.render import FORMATS

_TIME = {
    "anyOf": [{"type": "number", "exclusiveMinimum": 0}, {"type": "string", "pattern": r"^\d"}]
}
_SIZE = {"anyOf": [{"type": "integer", "minimum": 1}, {"type": "string", "pattern": r"^\d"}]}
_FLAG = {"type": "boolean"}
_TEXT = {"type": "string", "minLength": 1}
_NAMES = {"anyOf": [{"type": "array", "items": _TEXT, "minItems": 1}, _TEXT]}


def _one_of(*words: str) -> dict[str, Any]:
    return {"enum": list(words)}


#: Setting -> what it does, and its schema.
_SAID: dict[str, tuple[str, dict[str, Any]]] = {
    "profile": ("A shipped profile's name, or a .toml file relative to this one.", _TEXT),
    "backend": ("What builds the rooms.", _one_of(*BACKENDS)),
    "runtime": ("The container runtime of the docker backend.", _TEXT),
    "image": ("The image of the docker backend.", _TEXT),
    "depth": ("How much of the model to load in the room.", _one_of(*DEPTHS)),
    "fail-on": ("The lowest severity that rejects a source.", _one_of(*FAIL_ON)),
    "record": ("full: also write each system call to a trace.", _one_of(*RECORDS)),
    "timeout": ("Time limit for one source: 90, 90s, 5m.", _TIME),
    "memory": ("Memory limit for one source: 8GiB.", _SIZE),
    "trust": (
        "The trust file, relative to this one. Ignored in a file that is merely found.",
        _TEXT,
    ),
    "require-attestation": ("A public key: take what its owner attested, and nothing else.", _TEXT),
    "require-signature": ("Reject a source that no trusted signer has signed.", _FLAG),
    "hash": ("Whether the report has the SHA-256 of each file.", _FLAG),
    "base": ("Of an adapter: the base model that a copy names.", _TEXT),
    "dtype": ("The element type of a copy's floating point tensors.", _one_of(*DTYPES)),
    "max-shard-size": ("Bytes of tensors in one file of a copy: 5GB.", _SIZE),
    "hash-export": ("Whether the SHA-256 of a copy's files is given too.", _FLAG),
    "all-files": ("Of a source on a hub, judge all files.", _FLAG),
    "weights-of": ("Of a pickled checkpoint, export what lies under this key.", _TEXT),
    "names": ("Which names wrapped weights have in a copy.", _one_of(*NAMES)),
    "keep": ("Whether a copy holds what is not weights, too.", _one_of(*KEEP)),
    "quantised": ("Whether a copy of GGUF holds numbers or blocks.", _one_of(*QUANTISED)),
    "require-pin": ("Reject a source whose name does not hold the full commit.", _FLAG),
    "require-publisher": (
        "Reject a source of any other publisher: names, patterns (google-*), listed, verified.",
        _NAMES,
    ),
    "publishers": (
        "Publishers of your own, as ORG or ORG/NAME; names that imitate them are findings.",
        _NAMES,
    ),
    "histograms": ("Whether reports show how each tensor's numbers are spread.", _FLAG),
    "format": ("The form of the report on stdout.", _one_of(*FORMATS)),
    "findings-url": (
        "Where docs/findings.md can be read: SARIF links to its sections.",
        {"type": "string", "pattern": "^https?://[^#]+$"},
    ),
    "no-cache": ("Open a source although its files are unchanged.", _FLAG),
    "quiet": ("One line for each source, with the reason where it did not pass.", _FLAG),
    "no-color": ("Use no colours.", _FLAG),
}


def schema() -> dict[str, Any]:
    """The schema as a JSON value."""
    settings = {name: {"description": _SAID[name][0], **_SAID[name][1]} for name in SETTINGS}
    exception = {
        "type": "object",
        "additionalProperties": False,
        "required": ["finding", "sha256", "reason", "until"],
        "properties": {
            "finding": {
                "description": "The finding's id.",
                "type": "string",
                "pattern": r"^SL\d{3}$",
            },
            "sha256": {
                "description": "Of the file that it is about; the JSON report has it.",
                "type": "string",
                "pattern": "^[0-9a-f]{64}$",
            },
            "reason": {
                "description": "For who reads the report.",
                "type": "string",
                "minLength": 1,
            },
            "until": {"description": "The last day, as a TOML date: 2027-01-31."},
        },
    }
    by_path = {
        "type": "object",
        "additionalProperties": False,
        "required": ["match"],
        "properties": {
            "match": {
                "description": "A pattern of source paths, relative to the working folder: vendor/**",
                **_TEXT,
            },
            **{name: settings[name] for name in BY_PATH},
        },
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "safe-load configuration",
        "description": "safe-load.toml, or the table tool.safe-load of a pyproject.toml.",
        "type": "object",
        "additionalProperties": False,
        "properties": settings
        | {
            "exceptions": {
                "description": "Findings that do not count. Ignored in a file that is merely found.",
                "type": "array",
                "items": exception,
            },
            "paths": {
                "description": "Settings for the sources whose path matches; a later one wins.",
                "type": "array",
                "items": by_path,
            },
        },
    }


def text() -> bytes:
    """The schema as indented JSON."""
    return msgspec.json.format(msgspec.json.encode(schema()), indent=2) + b"\n"
