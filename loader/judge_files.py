"""What the files of a model say against it, whether or not anything happened when it was opened.

Zone: controller. The rules and their severities are in judge.RULES, lists in profiles/rules/.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

import msgspec
from safe_load import naming
from safe_load.configuration import chat_templates, tokenizer_files
from safe_load.formats.escape import visible
from safe_load.judge import finding
from safe_load.profiles import rules
from safe_load.report import SEVERITIES, Finding, Severity

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from safe_load.compare import Difference
    from safe_load.configuration.config_asks import Ask
    from safe_load.hub import Snapshot
    from safe_load.inside import Extracted, ExtractedFile, NamedCallable
    from safe_load.inventory import Inventory

_MOST_OF_ONE_KIND = 50
#: safe_load.worker.callables.MAX_ENTRIES: a list of that length is cut.
_MOST_CALLABLES = 1000
_CODE_FORMATS = {"torchscript": "TorchScript", "keras": "Keras", "hdf5": "Keras or HDF5"}


def content(extracted: Extracted) -> list[Finding]:
    """Judge what the pickles name and what the files are, whether or not anything happened."""
    return [found for file in extracted.files for found in _of_file(file)]


def joined(seen: Sequence[Finding], extracted: Extracted) -> list[Finding]:
    """What happened, told together with the call that it came from: the only grave one of the
    pickles, or the one whose arguments name what was reached or run."""
    calls = [
        (file, named)
        for file in extracted.files
        for named in file.callables
        if named.called and SEVERITIES.index(naming.weigh(named)[0]) >= SEVERITIES.index("medium")
    ]
    return [_with_origin(found, calls) for found in seen]


def _with_origin(found: Finding, calls: list[tuple[ExtractedFile, NamedCallable]]) -> Finding:
    named_in = [(file, named) for file, named in calls if _names(named.arguments, found)]
    origins = named_in or calls
    if SEVERITIES.index(found.severity) < SEVERITIES.index("medium") or len(origins) != 1:
        return found
    file, named = origins[0]
    origin = f"{named.name} at byte {named.offset} of {named.member or 'the pickle'}"
    detail = f"{found.detail} (It came from {visible(file.name)}: {visible(origin)}.)"
    return msgspec.structs.replace(found, detail=detail)


def _names(arguments: str, found: Finding) -> bool:
    """Whether a call's arguments hold what a finding is about: a program, a path, an address."""
    command = found.detail.partition("it tried to run: ")[2]
    words = {
        found.location,
        found.location.rpartition(":")[0].strip("[]"),
        command,
        *command.split()[-1:],
    }
    return any(len(word) > 3 and word in arguments for word in words)


def _of_file(file: ExtractedFile) -> Iterator[Finding]:
    # The gravest first, so that many small ones cannot hide it.
    weighed = sorted(
        ((*naming.weigh(named), named) for named in file.callables),
        key=lambda each: -SEVERITIES.index(each[0]),
    )
    for severity, why, named in weighed[:_MOST_OF_ONE_KIND]:
        where = f"{file.name}: {named.member or 'pickle'} at byte {named.offset}"
        verb = "calls" if named.called else "names"
        given = f" with {named.arguments}" if named.arguments else ""
        because = f": {why}" if why else ""
        yield finding(
            "SL501",
            f"{visible(file.name)} {verb} {named.name}{given}{because}",
            where,
            severity=severity,
        )
    if len(file.callables) >= _MOST_CALLABLES:
        yield finding(
            "SL501",
            f"{visible(file.name)} names more callables than can be listed",
            file.name,
            severity="medium",
        )
    if file.format == "text" and file.name.endswith(".pth"):
        detail = (
            f"{visible(file.name)} is text: among Python's packages it would be run at every start"
        )
        yield finding("SL502", detail, file.name, severity="medium")
    if file.format in _CODE_FORMATS:
        yield finding(
            "SL506",
            f"{visible(file.name)} is {_CODE_FORMATS[file.format]}: it holds a program, not only numbers",
            file.name,
        )
    if file.status == "bomb":
        yield finding(
            "SL603",
            file.reason or f"{visible(file.name)} unpacks to more than its bound",
            file.name,
        )
    elif file.status == "not_loadable" and file.reason and not _is_vocabulary(file):
        yield finding("SL602", file.reason, file.name)


def _is_vocabulary(file: ExtractedFile) -> bool:
    """Whether it is a tokenizer's, which nobody reads weights from: it need not be a file of weights."""
    return tokenizer_files.MODELS.fullmatch(file.name.rpartition("/")[2]) is not None


def folder(inventory: Inventory, asks: Sequence[Ask]) -> list[Finding]:
    """Judge what the folder brings besides weights."""
    found = [
        finding(
            "SL505", f"{visible(leak)} lies outside of the model's folder", leak.partition(":")[0]
        )
        for leak in inventory.leaves[:_MOST_OF_ONE_KIND]
    ]
    found += _code_beside(inventory)
    templates = islice(chat_templates.reaches(inventory.entries), _MOST_OF_ONE_KIND)
    found += [
        finding("SL504", f"A template in {visible(path)} {what}", path) for path, what in templates
    ]
    grave = sorted(asks, key=lambda ask: -SEVERITIES.index(ask.severity))
    found += [
        finding(
            ask.finding,
            f"{ask.location}: {ask.value} {ask.why}",
            ask.location,
            severity=ask.severity,
        )
        for ask in grave[:_MOST_OF_ONE_KIND]
    ]
    return found


def _code_beside(inventory: Inventory) -> Iterator[Finding]:
    code = [
        entry.path for entry in inventory.entries if entry.path.endswith((".py", ".pyc", ".so"))
    ]
    if not inventory.folder or not code:
        return
    planted = [
        path for path in code if path.partition(".")[0] in rules("behaviour")["imports"]["names"]
    ]
    kinds: list[tuple[list[str], str, Severity]] = [
        (planted, "bear the names of modules that are imported unasked", "medium"),
        ([path for path in code if path not in planted], "lie beside the weights", "low"),
    ]
    for paths, what, severity in kinds:
        if paths:
            shown = ", ".join(map(visible, paths[:5])) + (
                f" and {len(paths) - 5} more" if len(paths) > 5 else ""
            )
            yield finding(
                "SL502",
                f"Code files {what}: {shown}. None of them was run or exported.",
                paths[0],
                severity=severity,
            )


def provenance(snapshot: Snapshot) -> list[Finding]:
    """Judge where a commit comes from: a hub serves those of pull requests under the repository's
    name, whoever opened them."""
    where = f"{snapshot.name.repo}@{snapshot.commit}"
    if snapshot.standing == "loose":
        detail = (
            f"No branch and no tag of {snapshot.name.repo} holds {snapshot.commit}. It may be a pull "
            "request's, which anyone can open, or of a history that was rewritten."
        )
        return [finding("SL701", detail, where)]
    if snapshot.standing == "proposed":
        detail = (
            f"{visible(snapshot.name.revision)} is a pull request: anyone may have opened it, and "
            "the repository's owner has not accepted it."
        )
        return [finding("SL701", detail, where, severity="low")]
    return []


def integrity(differences: Sequence[Difference]) -> list[Finding]:
    """Judge what loading produced against what the bytes say: one finding per file and kind."""
    groups: dict[tuple[str, str], list[Difference]] = {}
    for difference in differences:
        groups.setdefault((difference.file, difference.kind), []).append(difference)
    return [
        finding(
            "SL601",
            members[0].detail
            + (f" ({len(members) - 1} more tensors likewise.)" if len(members) > 1 else ""),
            f"{file}: {members[0].tensor}",
        )
        for (file, _), members in groups.items()
    ]
