"""What a hub's page of a repository says, for the report: bounded, and left out where it has another type.

Zone: the fetcher's process.
"""

from __future__ import annotations

from typing import Any


def of(info: Any) -> dict[str, Any]:
    """The fields of report.HubWord that a repository's page has. What has another type than it should is left out."""
    card = getattr(info, "card_data", None)
    bases = getattr(card, "base_model", None) or []
    bases = [bases] if isinstance(bases, str) else bases
    security = getattr(info, "security_repo_status", None)
    scan = _scan(security) if isinstance(security, dict) else None
    return {
        "name": _text(info.id),
        "created": _date(info.created_at),
        "changed": _date(info.last_modified),
        "downloads": _count(info.downloads),
        "likes": _count(info.likes),
        "base_models": [base[:200] for base in bases if isinstance(base, str)][:10]
        if isinstance(bases, list)
        else [],
        "scan": scan,
    }


def _scan(security: dict[str, Any]) -> str:
    if security.get("filesWithIssues"):
        return "unsafe"
    return "safe" if security.get("scansDone") is True else "in progress"


def _text(value: object) -> str | None:
    return value[:200] if isinstance(value, str) else None


def _date(value: Any) -> str | None:
    return value.isoformat(timespec="seconds") if hasattr(value, "isoformat") else None


def _count(value: object) -> int | None:
    whole = isinstance(value, int) and not isinstance(value, bool)
    return value if whole and 0 <= value < 1 << 63 else None  # type: ignore[operator,return-value]
