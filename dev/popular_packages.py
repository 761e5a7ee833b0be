"""The most downloaded packages of PyPI and npm, as one dated list of names, the most downloaded first.

    python -m dev.popular_packages PYPI.tsv NPM.tsv > loader/register/popular.json

PYPI.tsv has a package a line: its name, and in the column `rank_among_15000_most_downloaded` its rank (0 for none). NPM.tsv has its
name, and in the third column its downloads a month.

Zone: neither; runs on a developer's machine.
"""

from __future__ import annotations

import csv
import sys
from datetime import UTC, datetime
from pathlib import Path

import msgspec

_EACH = 10_000


def pypi(path: Path) -> list[str]:
    """The names of the first ranks."""
    with path.open(encoding="utf-8") as file:
        rows = csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
        ranked = [(int(row["rank_among_15000_most_downloaded"] or 0), row["name"]) for row in rows]
    return [name for rank, name in sorted(ranked) if rank > 0][:_EACH]


def npm(path: Path) -> list[str]:
    """The names of the most downloads."""
    with path.open(encoding="utf-8") as file:
        rows = list(csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE))[1:]
    counted = [(int(row[2] or 0), row[0]) for row in rows if len(row) > 2 and row[2].isdigit()]
    return [name for _, name in sorted(counted, reverse=True)][:_EACH]


def main() -> None:
    """Write the list to standard output."""
    first, second = (Path(name) for name in sys.argv[1:3])
    document = {
        "made": datetime.now(UTC).date().isoformat(),
        "source": f"the {_EACH} most downloaded packages of each registry, by lists of that month",
        "pypi": pypi(first),
        "npm": npm(second),
    }
    sys.stdout.buffer.write(msgspec.json.format(msgspec.json.encode(document), indent=1) + b"\n")


if __name__ == "__main__":
    main()
