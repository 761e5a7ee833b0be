"""Statements read back: whether a folder is what somebody trusted opened and let pass, under a policy that will do.

Zone: controller. Every line must verify; of the summaries, one must be about exactly these files.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec
from safe_load import profiles
from safe_load.attest import envelope, files_beside, folders, statements, trust
from safe_load.attest.problems import Unknown, Unreadable, Wrong
from safe_load.core import typed
from safe_load.core.errors import SafeLoadError
from safe_load.core.escape import visible
from safe_load.core.fail_on import FAIL_ON
from safe_load.core.options import DEPTHS
from safe_load.worker.strict_json import Malformed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from safe_load.attest.trust import Signer
    from safe_load.core.fail_on import FailOn
    from safe_load.core.options import Depth
    from safe_load.profiles import Profile

#: From the least that a load does to the most. auto: weights, or model where there is a configuration.
_DEPTHS: tuple[Depth, ...] = ("static", "weights", "auto", "model", "run")
assert set(_DEPTHS) == set(DEPTHS)  # noqa: S101 - a new depth needs its place here
_SHA256 = re.compile("[0-9a-f]{64}")


class NotAccepted(ValueError):
    """An attestation does not do here. The text says why, in one clause."""


class _Digests(msgspec.Struct, frozen=True):
    sha256: str


class _Subject(msgspec.Struct, frozen=True):
    name: str
    digest: _Digests


class _Verifier(msgspec.Struct, frozen=True):
    id: str
    version: dict[str, str]


class _Digest(msgspec.Struct, frozen=True):
    digest: _Digests


class _Own(msgspec.Struct, frozen=True, rename="camel"):
    """The part of a summary that is ours."""

    of: str
    policy: statements.Policy
    verdict: str
    outcome: str
    not_opened: list[str]
    report: _Digest


class _Summary(msgspec.Struct, frozen=True, rename="camel"):
    verifier: _Verifier
    time_verified: str
    resource_uri: str
    policy: _Digest
    verification_result: str
    safe_load: _Own


@dataclass(frozen=True)
class Attested:
    """A summary about exactly the files of a folder. who: signed it; uri: what was opened; passed: the decision; of:
    "source" or "export"; not_opened: files that were left out; report: SHA-256 of the report."""

    who: str
    time: str
    uri: str
    version: str
    passed: bool
    of: str
    policy: statements.Policy
    not_opened: tuple[str, ...]
    report: str


def read(path: Path, signers: Sequence[Signer], found: Mapping[str, str]) -> Attested:
    """The summary in a file of statements that is about these files.

    Args:
        path: One bundle a line.
        signers: Who may have signed.
        found: Relative path -> SHA-256 of every file but those that sign.

    Raises:
        NotAccepted: A line does not verify or does not read, or none is about these files.
        OSError: The file cannot be read.
    """
    where = path.name
    kinds: list[str] = []
    summaries: list[tuple[str, dict[str, str], _Summary]] = []
    try:
        for number, line in enumerate(files_beside.lines(path), 1):
            place = f"{visible(where)}, line {number}"
            bundle = envelope.read(line, place)
            who = trust.check(bundle, signers)
            stated = envelope.statement(bundle.payload, place)
            kinds.append(stated["predicateType"])
            subjects = _subjects(stated, place)
            if stated["predicateType"] == statements.SUMMARY:
                summaries.append((who, subjects, _convert(stated["predicate"], place)))
    except (Unreadable, Unknown, Wrong, Malformed) as error:
        raise NotAccepted(str(error)) from None
    if not summaries:
        raise NotAccepted(f"{visible(where)} holds no verification summary")
    if statements.TRACE not in kinds:
        raise NotAccepted(f"{visible(where)} holds no runtime trace")
    for who, subjects, summary in summaries:
        if subjects == found:
            return _attested(who, summary, visible(where))
    told = [
        "; ".join(folders.sentences(folders.compare(found, subjects), visible(where)))
        for _, subjects, _ in summaries
    ]
    raise NotAccepted(min(told, key=len))


def require(
    attested: Attested, profile: Profile, fail_on: FailOn, depth: Depth, version: str
) -> None:
    """Raise NotAccepted unless the policy of the attestation is at least as strict as the one here.

    Args:
        attested: Of the folder.
        profile: The profile here.
        fail_on: The threshold here.
        depth: The depth here.
        version: Of safe-load here.
    """
    policy = attested.policy
    if not attested.passed:
        raise NotAccepted("it says that the source was rejected, or was not opened to its end")
    if policy.excepted:
        raise NotAccepted(f"{policy.excepted} findings were accepted there, and none is here")
    if policy.weaknesses:
        raise NotAccepted(
            "its profile is weaker than the shipped one: " + visible(policy.weaknesses[0])
        )
    if policy.profile not in profiles.names():
        raise NotAccepted(
            f"its profile {visible(policy.profile, 80)} is none that ships with safe-load"
        )
    if weaker := profiles.weaknesses(profiles.load(policy.profile), profile):
        raise NotAccepted(f"its profile {policy.profile} is weaker than the one here: {weaker[0]}")
    if policy.tier not in profile.tiers:
        raise NotAccepted(
            f"it was opened in tier {visible(str(policy.tier), 20)}, which the profile here does not take"
        )
    if FAIL_ON.index(policy.fail_on) > FAIL_ON.index(fail_on):
        raise NotAccepted(f"it rejected from {policy.fail_on} on, and {fail_on} is asked for here")
    if _DEPTHS.index(policy.depth) < _DEPTHS.index(depth):
        raise NotAccepted(
            f"it was opened to the depth {policy.depth}, and {depth} is asked for here"
        )
    if attested.not_opened:
        raise NotAccepted(f"{folders.listed(attested.not_opened)} were not opened there")
    if _numbers(attested.version) < _numbers(version):
        raise NotAccepted(
            f"it is of safe-load {visible(attested.version, 40)}, and this is {version}: older rules"
        )


def _numbers(version: str) -> tuple[int, ...]:
    """Of "1.2.3": to be compared. One that is no version is older than all."""
    return (
        tuple(map(int, version.split(".")))
        if re.fullmatch(r"\d{1,6}(\.\d{1,6}){0,4}", version)
        else ()
    )


def _subjects(stated: dict[str, Any], where: str) -> dict[str, str]:
    try:
        listed = typed.convert(stated["subject"], list[_Subject])
    except msgspec.ValidationError as error:
        raise Unreadable(f"{where} has malformed subjects: {error}") from None
    found = {each.name: each.digest.sha256 for each in listed}
    if len(found) != len(listed) or not all(map(_SHA256.fullmatch, found.values())):
        raise Unreadable(f"{where} names a subject twice, or one without a SHA-256")
    return found


def _convert(predicate: dict[str, Any], where: str) -> _Summary:
    try:
        summary = typed.convert(predicate, _Summary)
    except (msgspec.ValidationError, SafeLoadError) as error:
        raise Unreadable(
            f"{where} is no summary of safe-load: {visible(str(error), 200)}"
        ) from None
    if summary.verifier.id != statements.VERIFIER:
        raise Unreadable(
            f"{where} is a summary of another verifier: {visible(summary.verifier.id, 100)}"
        )
    if summary.policy.digest.sha256 != summary.safe_load.policy.digest():
        raise Unreadable(f"{where} contradicts itself: its policy has another digest")
    return summary


def _attested(who: str, summary: _Summary, where: str) -> Attested:
    if summary.verification_result not in ("PASSED", "FAILED"):
        raise NotAccepted(f"{where} says neither PASSED nor FAILED")
    own = summary.safe_load
    return Attested(
        who,
        visible(summary.time_verified, 40),
        visible(summary.resource_uri, 300),
        summary.verifier.version.get("safe-load", ""),
        summary.verification_result == "PASSED" and own.outcome == "ok",
        own.of,
        own.policy,
        tuple(own.not_opened),
        own.report.digest.sha256,
    )
