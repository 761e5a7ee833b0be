"""A gateway's records, pages and queues with many synthetic models: what each costs, in time and bytes.

    python -m dev.fleet_scale --models 100000 [--records postgresql://...]

Fills the store with the rows that a gateway writes, at once; nothing is judged. Prints JSON. docs/scale.md has the numbers.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from safe_load.fleet.folder import Taker
from safe_load.fleet.jobs import Job, JobFile
from safe_load.fleet.objects import Folder
from safe_load.gateway.app import App
from safe_load.gateway.content import LocalContent
from safe_load.gateway.postgres import SharedStore
from safe_load.gateway.service import Service
from safe_load.gateway.settings import read
from safe_load.gateway.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from safe_load.gateway.judging import Order, Said
    from safe_load.gateway.workers import Ask, Tell

POLICY = "p" * 64
_FILES = 6
_TIMES = 200
_MOST_TOKENS = 20_000  # of the folder's queue: making them takes the longest
_INSERTS = {
    "names": "insert into names values (?,?,?,?)",
    "moves": "insert into moves values (?,?,?,?)",
    "models": "insert into models (repo, commit_id, policy, state, verdict, sentence, content, cleared_as, report, "
    "asked_by, asked) values (?,?,?,?,?,?,?,?,?,'anonymous',0)",
    "verdicts": "insert into verdicts values (?,?)",
    "files": "insert into files values (?,?,?,?)",
    "findings": "insert into findings values (?,?,?,?,?,?,?)",
    "audit": "insert into audit (at, who, act, about, detail) values (?,?,?,?,?)",
}


class _Nobody:
    size = 1

    async def judge(self, order: Order, ask: Ask, tell: Tell) -> Said:
        raise NotImplementedError

    async def close(self) -> None:
        return


def fill(store: Store, count: int) -> None:
    """Nine in ten cleared, with six files each; one in ten rejected, with a finding; and two audit lines for each."""
    rows: dict[str, list[tuple[object, ...]]] = {name: [] for name in _INSERTS}
    for number in range(count):
        repo, commit, sha = (
            f"org{number % 997}/model-{number}",
            f"{number:040x}",
            f"{number + 1:064x}",
        )
        good, content = number % 10 != 9, f"{number:064x}"
        for table in ("names", "moves"):
            rows[table].append((repo, "main", commit, 0.0))
        rows["models"].append(
            (
                repo, commit, POLICY, "cleared" if good else "rejected", "clean" if good else "malicious",
                "" if good else "pytorch_model.bin calls posix.system when it is opened",
                content if good else None, f"{number + 7:040x}" if good else None, f"{commit}.json",
            )
        )  # fmt: skip
        rows["verdicts"].append((sha, number + 1))
        if good:
            rows["files"] += [
                (content, f"file-{each}.json", 1000, f"{number * 10 + each:064x}")
                for each in range(_FILES)
            ]
        else:
            rows["findings"].append(
                (number + 1, "SL501", sha, "high", "calls posix.system", "pytorch_model.bin", 0)
            )
        rows["audit"] += [
            (0.0, "anonymous", "ask", repo, commit),
            (0.0, "gateway", "cleared", repo, ""),
        ]
    for name, text in _INSERTS.items():
        _insert(store, text, rows[name])


def _insert(store: Store, text: str, rows: Iterable[tuple[object, ...]]) -> None:
    if isinstance(store, SharedStore):
        with store._live().transaction(), store._live().cursor() as cursor:
            cursor.executemany(text.replace("?", "%s").encode(), rows)
        return
    store._db.execute("begin")
    store._db.executemany(text, rows)
    store._db.execute("commit")


def timed(act: Callable[[], object], times: int = _TIMES) -> float:
    """Milliseconds that one call takes, the middle of many."""
    took = []
    for _ in range(times):
        began = time.perf_counter()
        act()
        took.append(time.perf_counter() - began)
    return round(sorted(took)[len(took) // 2] * 1000, 3)


def lookups(store: Store, count: int) -> dict[str, float]:
    """What a client's request asks."""

    def number() -> int:
        return random.randrange(count)

    def name() -> str:
        return f"org{(n := number()) % 997}/model-{n}"

    return {
        "name": timed(lambda: store.name(name(), "main")),
        "model": timed(lambda: store.model(name(), f"{number():040x}", POLICY)),
        "by_revision": timed(lambda: store.by_revision(name(), f"{number():040x}", POLICY)),
        "file": timed(lambda: store.file(f"{number():064x}", "file-3.json")),
        "same_bytes": timed(lambda: store.known(f"{number():064x}")),
        "waiting": timed(store.waiting),
        "counts": timed(store.counts, 20),
        "search_by_part_of_a_name": timed(lambda: store.search(f"model-{number()}", "", None), 20),
    }


async def page(app: App, path: str, query: str = "") -> float:
    """Milliseconds for a page, as the application answers it."""
    took, sizes = [], []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            assert message["status"] == 200, message
        sizes.append(len(message.get("body", b"")))

    for _ in range(20):
        scope = {
            "type": "http", "method": "GET", "path": path, "raw_path": path.encode(), "query_string": query.encode(),
            "headers": [(b"host", b"x")], "scheme": "http", "server": ("x", 80), "client": ("x", 1), "root_path": "",
        }  # fmt: skip
        began = time.perf_counter()
        await app(scope, receive, send)
        took.append(time.perf_counter() - began)
    assert sum(sizes) > 1000
    return round(sorted(took)[10] * 1000, 1)


def queues(store: Store, home: Path, count: int) -> dict[str, float]:
    """The two queues, full: to take the next model of each."""
    _insert(
        store,
        "insert into models (repo, commit_id, policy, state, asked_by, asked) values (?,?,?,'queued','x',0)",
        ((f"queued/model-{number}", f"{number:040x}", POLICY) for number in range(count)),
    )
    found = {"gateway_queue_take": timed(lambda: store.start(POLICY), 20)}
    folder = Folder(home)
    taker = Taker(folder, "w")
    began = time.perf_counter()
    for number in range(min(count, _MOST_TOKENS)):
        (home / "queue" / f"{number:064x}.0").touch()
    found["folder_queue_fill_s"] = round(time.perf_counter() - began, 1)
    job = Job(files=(JobFile("a", 1, "a" * 64),), folder=False, policy="b" * 64)
    stated = msgspec.json.encode(job)
    store_of = folder.recorded
    folder.recorded = lambda name: stated if name.startswith("jobs/") else store_of(name)  # type: ignore[method-assign]
    found["folder_queue_take"] = timed(taker.take, 50)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=int, default=100_000)
    parser.add_argument("--records", help="an empty PostgreSQL database, instead of SQLite")
    given = parser.parse_args()
    count: int = given.models
    with tempfile.TemporaryDirectory(prefix="scale-") as folder:
        home = Path(folder)
        settings = read(None, {"upstream": "https://hub.example", "data": str(home)})
        path = home / "gateway.sqlite"
        with Store(path) if given.records is None else SharedStore(given.records) as store:
            began = time.perf_counter()
            fill(store, count)
            said: dict[str, Any] = {
                "models": count,
                "fill_s": round(time.perf_counter() - began, 1),
            }
            if given.records is None:
                store._db.execute("pragma wal_checkpoint(truncate)")
                size = path.stat().st_size
            else:
                store._execute("analyze")
                size = store._execute("select pg_database_size(current_database())").fetchone()[0]
            said["database_bytes_per_model"] = round(size / count)
            said["lookup_ms"] = lookups(store, count)

            async def pages() -> dict[str, float]:
                content = LocalContent(home)
                app = App(Service(settings, store, content, _Nobody(), POLICY))
                return {
                    "first_page": await page(app, "/-/"),
                    "rejected": await page(app, "/-/", "state=rejected"),
                    "search": await page(app, "/-/", "q=model-4242"),
                    "metrics": await page(app, "/metrics"),
                }

            said["page_ms"] = asyncio.run(pages())
            said["queue_ms"] = queues(store, home / "store", count)
    print(json.dumps(said, indent=2))


if __name__ == "__main__":
    main()
