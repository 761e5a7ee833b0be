"""The publishers that transformers' own files name, and those of `publishers.txt`, as one dated list.

    python -m dev.publishers > loader/provenance/publishers.json

transformers' documentation is not installed with it; its modules are, and name the same checkpoints: the checkpoint
of each class's documentation, the examples' from_pretrained, the links to the hub. Names that an example makes up,
and those that come of search and replace ("meta-olmo2"), are left out by the table below.

Zone: neither; runs on a developer's machine.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import re
import sys
from collections import defaultdict
from datetime import UTC, datetime
from pathlib import Path

import msgspec

BY_HAND = Path(__file__).with_name("publishers.txt")
_NAME = r"([A-Za-z0-9][A-Za-z0-9_-]{1,40})/([A-Za-z0-9][A-Za-z0-9_.-]{2,90})"
_HUB = "https?://huggingface" + r"\.co"
_NAMED = (
    re.compile(r"""(?:checkpoint|CHECKPOINT_FOR_DOC)\s*=\s*["']""" + _NAME + """["']"""),
    re.compile(r"""from_pretrained\(\s*["']""" + _NAME + """["']"""),
    re.compile(
        r"""(?:model_id|model_name|model_name_or_path|repo_id)\s*[=:]\s*["']""" + _NAME + """["']"""
    ),
    re.compile(r"\[" + _NAME + r"\]\(" + _HUB),
    re.compile(_HUB + "/" + _NAME),
)
#: Pages of the hub, and names that are no publisher's.
_NO_PUBLISHER = re.compile(
    r"docs|papers|datasets|spaces|blog|models|api|collections|kernels|posts|organizations|learn|transformers"
    r"|reflection|albert|tau|meta-(?!llama$).*|ibm-granite4.*|mini_max.*|Cohere\w+For\w+(?<!CohereForAI)"
    r"|Cohere|raushan-testing-hf|vibevoice|westlake|MIT|sail|.*_.*"
)
#: Models whose names many use for their own: the same name elsewhere says nothing.
_COMMON = re.compile(r"(tiny|test|dummy|random|model|example|your|my)[-_.]?.*", re.IGNORECASE)


def documented() -> dict[str, set[str]]:
    """Publisher -> models, of the transformers that is installed."""
    spec = importlib.util.find_spec("transformers")
    if spec is None or spec.origin is None:
        raise SystemExit("transformers is not installed")
    found: dict[str, set[str]] = defaultdict(set)
    for path in Path(spec.origin).parent.rglob("*.py"):
        text = path.read_text("utf-8", "replace")
        for pattern in _NAMED:
            for publisher, model in pattern.findall(text):
                if not _NO_PUBLISHER.fullmatch(publisher):
                    found[publisher].add(model.rstrip("."))
    return found


def by_hand() -> tuple[set[str], set[str]]:
    """The organisations and the other publishers of publishers.txt."""
    above, _, below = BY_HAND.read_text("utf-8").partition("# People")
    both = [
        {
            name
            for line in part.splitlines()
            if not line.startswith("#") and part
            for name in line.split()
        }
        for part in (above, f"# {below}")
    ]
    return both[0], both[1] - both[0]


def text() -> bytes:
    """The list's file."""
    found = documented()
    organisations, others = by_hand()
    models = {
        publisher: sorted(name for name in names if not _COMMON.fullmatch(name))
        for publisher, names in found.items()
        if "testing" not in publisher
    }
    value = {
        "made": datetime.now(UTC).date().isoformat(),
        "source": f"transformers {importlib.metadata.version('transformers')}, and by hand",
        "documented": {name: models.get(name, []) for name in sorted(found, key=str.lower)},
        "organisations": sorted(organisations, key=str.lower),
        "others": sorted(others - found.keys(), key=str.lower),
    }
    return msgspec.json.format(msgspec.json.encode(value), indent=1) + b"\n"


if __name__ == "__main__":
    sys.stdout.buffer.write(text())
