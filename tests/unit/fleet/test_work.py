"""What a worker makes of jobs that are not what they should be: never a verdict, and no file elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest
from safe_load.core.errors import UsageError
from safe_load.core.options import Options
from safe_load.fleet.jobs import Ended, Job, JobFile, options_of, stated
from safe_load.fleet.objects import Folder
from safe_load.fleet.work import Rooms, Worker, forget_passing, result_of

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def policy() -> str:
    return Rooms(warm=False).policy(Options(depth="static"))


def job(policy: str, *files: JobFile, **more: object) -> Job:
    given: dict[str, object] = {
        "folder": True,
        "options": {"depth": "static"},
        "policy": policy,
    } | more
    return Job(files=files, **given)  # type: ignore[arg-type]


def done(worker: Worker, asked: Job | bytes) -> Ended:
    return worker.done(asked if isinstance(asked, bytes) else msgspec.json.encode(asked))


def test_only_a_worker_with_the_same_policy_judges(tmp_path: Path, policy: str) -> None:
    ended = done(Worker(Folder(tmp_path), "w"), job("0" * 64, JobFile("a.json", 1, "a" * 64)))
    assert not ended.final
    assert "another safe-load or other packages" in ended.sentence


def test_files_that_lead_elsewhere_or_are_missing_are_no_verdict(
    tmp_path: Path, policy: str
) -> None:
    store = Folder(tmp_path / "store")
    (tmp_path / "a").write_bytes(b"{}")
    address, worker = store.put(tmp_path / "a"), Worker(store, "w")
    for files in (
        [JobFile("../evil.json", 2, address)],
        ["/evil.json"],
        [JobFile("a//b.json", 2, address)],
        [JobFile("a.json", 2, address), JobFile("a.json", 2, address)],
        [JobFile("a.json", 3, address)],
        [JobFile("a.json", 2, "0" * 64)],
    ):
        listed = [JobFile(each, 2, address) if isinstance(each, str) else each for each in files]
        ended = done(worker, job(policy, *listed))
        assert ended.outcome == "sandbox_error", files
        assert not ended.final
    assert not list(tmp_path.rglob("evil.json"))
    assert not (store.root / "results").exists()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}",
        b"[" * 100_000,
        b'{"files": []}',
        b"\xff",
        b'{"files":[{"path":"a","size":-1,"sha256":""}]}',
    ],
)
def test_what_is_no_job_is_no_verdict(tmp_path: Path, data: bytes) -> None:
    ended = done(Worker(Folder(tmp_path), "w"), data)
    assert (ended.outcome, ended.final) == ("sandbox_error", False)


def test_options_go_there_and_come_back(tmp_path: Path) -> None:
    options = Options(depth="static", fail_on="high", require_publisher=("google",), timeout=5)
    chosen, accepted = stated(options)
    made = Job(
        files=(JobFile("a", 0, "a" * 64),), folder=False, options=chosen, exceptions=accepted, policy="b" * 64
    )  # fmt: skip
    assert options_of(msgspec.json.decode(msgspec.json.encode(made), type=Job)) == options
    with pytest.raises(UsageError, match="trust names a file of this machine"):
        stated(Options(trust=tmp_path / "trust.toml"))
    with pytest.raises(UsageError):
        options_of(msgspec.structs.replace(made, options={"trace": "/etc/passwd"}))
    with pytest.raises(UsageError):
        options_of(msgspec.structs.replace(made, options={"unknown": 1}))


def test_a_limit_of_time_is_forgotten_before_it_is_asked_again(tmp_path: Path) -> None:
    store, key = Folder(tmp_path), "c" * 64
    for outcome, stays in (("limit_hit", False), ("rejected", True)):
        store.record(
            f"results/{key}.json", msgspec.json.encode(Ended(outcome=outcome, report="5" * 64))
        )
        assert result_of(store, key) is not None
        forget_passing(store, key)
        assert (result_of(store, key) is not None) == stays
