"""The register, or what a check found, as SARIF 2.1.0."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from safe_load.core.escape import visible
from safe_load.core.version import version
from safe_load.judge.findings import RULES
from safe_load.render.json import dump
from safe_load.render.meanings import meanings

if TYPE_CHECKING:
    from safe_load.register.compare import Comparison
    from safe_load.register.rows import Chain, Row

_BASE = "%SRCROOT%"
_MOST = 5000
#: What a check or the register says of a link -> the finding.
IDS = {
    "new": "SL911",
    "loosened": "SL912",
    "changed": "SL913",
    "reason": "SL914",
    "malicious": "SL915",
    "unread": "SL916",
    "floating": "SL917",
    "unknown": "SL918",
    "definition": "SL919",
}
_LEVELS = {"low": "note", "medium": "warning", "high": "error", "critical": "error"}
_SCORES = {"low": "2.0", "medium": "5.5", "high": "8.0", "critical": "9.5"}


def render(chain: Chain, comparison: Comparison | None = None, prefix: str = "") -> bytes:
    """One run. prefix: the project's folder below the root of the checkout, with a slash at its end, or ""."""
    results: list[tuple[str, str, Row]] = []
    if comparison is not None:
        results = [(IDS[each.what], each.told, each.row) for each in comparison.red]
    else:
        results = [(rule, _said(row), row) for row in chain.rows if (rule := _rule(row))]
    used = sorted({rule for rule, _, _ in results})
    shown = [_result(rule, text, row, used, prefix) for rule, text, row in results[:_MOST]]
    driver = {
        "name": "safe-load",
        "version": visible(version()),
        "rules": [_described(rule) for rule in used],
    }
    run = {
        "tool": {"driver": driver},
        "automationDetails": {"id": "safe-load/register/"},
        "originalUriBaseIds": {_BASE: {"description": {"text": "The root of the checkout."}}},
        "columnKind": "unicodeCodePoints",
        "results": shown,
    }
    return dump(
        {
            "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
            "version": "2.1.0",
            "runs": [run],
        }
    )


def _rule(row: Row) -> str:
    if any(reason.startswith("known malicious") for reason in row.reasons):
        return IDS["malicious"]
    if any(reason.startswith("not read: ") for reason in row.reasons):
        return IDS["unread"]
    if row.kind == "host":
        return ""
    return "" if row.pin.state == "pinned" else IDS[row.pin.state]


def _said(row: Row) -> str:
    return f"{row.kind} {row.name}: {'; '.join(row.reasons) or row.pin.state}"


def _described(rule: str) -> dict[str, Any]:
    severity, title = RULES[rule]
    known = meanings()[rule]
    return {
        "id": rule,
        "name": "".join(part.capitalize() for part in re.findall(r"[a-z]+", title.lower())),
        "shortDescription": {"text": title},
        "fullDescription": {"text": known.meaning},
        "help": {"text": f"{known.meaning}\n\nWhat to do: {known.advice}\n\nMaps to: {known.maps}"},
        "defaultConfiguration": {"level": _LEVELS[severity]},
        "properties": {
            "security-severity": _SCORES[severity],
            "precision": "high",
            "tags": ["security", "supply-chain"],
        },
    }


def _result(rule: str, text: str, row: Row, used: list[str], prefix: str) -> dict[str, Any]:
    message = visible(text)
    if row.fix:
        message += f". Fix: {visible(row.fix, 500)}"
    places = row.where[:20]
    identity = hashlib.sha256(
        f"{rule}\0{row.kind}\0{row.name}\0{text if rule == IDS['definition'] else row.pin.value}".encode(
            "utf-8", "backslashreplace"
        )
    )
    severity, _ = RULES[rule]
    return {
        "ruleId": rule,
        "ruleIndex": used.index(rule),
        "level": _LEVELS[severity],
        "message": {"text": message.replace("[", "\\[").replace("]", "\\]")},
        "locations": [_location(place.path, place.line, prefix) for place in places[:1]],
        "relatedLocations": [
            {**_location(place.path, place.line, prefix), "id": number}
            for number, place in enumerate(places[1:], 1)
        ],
        "partialFingerprints": {"safeLoadChain/v1": identity.hexdigest()[:32]},
        "properties": {"rank": row.rank, "security-severity": _SCORES[severity]},
    }


def _location(path: str, line: int, prefix: str) -> dict[str, Any]:
    uri = quote(f"{prefix}{path}".encode("utf-8", "backslashreplace"), safe="/.~")
    return {
        "physicalLocation": {
            "artifactLocation": {"uri": uri, "uriBaseId": _BASE},
            "region": {"startLine": max(line, 1)},
        }
    }
