"""What the files of a model say against it, whether or not anything happened when it was opened.

Zone: controller. The rules and their severities are in judge.RULES, lists in profiles/rules/.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

import msgspec
from safe_load.core.escape import visible
from safe_load.core.report import SEVERITIES, Finding, Origin, Severity
from safe_load.judge import pickle_names
from safe_load.judge.behaviour import finding
from safe_load.profiles import rules
from safe_load.rooms.named_packages import STAGE
from safe_load.worker.formats import torchscript
from safe_load.worker.key_links import READS_ONLY, mask
from safe_load.worker.pickle_vm.callables import NAMED_BY
from safe_load.worker.rewrite import tokenizer_files

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from safe_load.core.report import Event
    from safe_load.export.extracted import Extracted, ExtractedFile, NamedCallable
    from safe_load.judge.compare import Difference
    from safe_load.rewrite.results import Configuration
    from safe_load.rooms.named_packages import NamedPackages
    from safe_load.sources.hub import Snapshot
    from safe_load.sources.inventory import Inventory

_MOST_OF_ONE_KIND = 50
_CODE_NAMES = (".py", ".pyc", ".pyd", ".so")
#: safe_load.worker.pickle_vm.callables.MAX_ENTRIES: a list of that length is cut.
_MOST_CALLABLES = 1000
_VERBS = {
    "code": "calls",
    "call": "calls",
    "fields": "calls",
    "new": "makes an object of",
    "held": "gives an object",
    "key": "hashes by",
}
_VERBS |= {"state": "calls", "items": "calls", "native": "calls"}


def content(
    extracted: Extracted,
    inventory: Inventory,
    weights: frozenset[str] = frozenset(),
    inert: frozenset[str] = frozenset(),
) -> list[Finding]:
    """Judge what the pickles name and what the files are, whether or not anything happened. weights:
    names of those that have to be whole; inert: as of pickle_names.weigh."""
    found = [
        found for file in extracted.files for found in _of_file(file, file.name in weights, inert)
    ]
    if not inventory.folder:
        found += [
            finding(
                "SL502",
                f"{visible(file.name)} is a program, and whoever runs it does what it says: nothing of it was run"
                " or judged. Scan the folder that it lies in, if it belongs to a model",
                file.name,
                severity="medium",
            )
            for file in extracted.files
            if file.format == "program" or file.format.startswith("program in ")
        ]
    return [*_modules_beside(extracted, inventory), *found]


def proven(found: Sequence[Finding], inventory: Inventory) -> list[Finding]:
    """The findings without those about weights that a load leaves out, but for what is proven hostile:
    such a file is not opened and not exported, so a doubt about it is none about the copy."""
    left = {entry.path for entry in inventory.entries if entry.role == "left"}
    return [
        each
        for each in found
        if each.evidence
        or each.severity in ("high", "critical")
        or not any(path in left for path in _beginnings(each.location))
    ]


def said_better(found: Sequence[Finding], told: Sequence[Finding]) -> list[Finding]:
    """The findings without those on a file's template of which `told`, about the same file, says what the template
    does and where."""
    better = {each.location for each in told if each.id == "SL504" and each.line}
    return [each for each in found if each.id != "SL504" or each.location not in better]


def _beginnings(location: str) -> Iterator[str]:
    """What may be the file's path in a location such as "file: member at byte 3"."""
    yield location
    yield from (location[:at] for at, char in enumerate(location) if char in ":!#")


def _modules_beside(extracted: Extracted, inventory: Inventory) -> Iterator[Finding]:
    """Pickles that name a module which the source itself brings: whoever loads them there runs it."""
    code = [entry.path for entry in inventory.entries if entry.path.endswith(_CODE_NAMES)]
    for file in extracted.files:
        folder = f"{file.name.rpartition('/')[0]}/".removeprefix("/")
        # Whoever opens it may stand in any folder above it.
        starts = [folder[:at] for at in range(len(folder) + 1) if not at or folder[at - 1] == "/"]
        for package in file.packages:
            beside = [
                path
                for path in code
                for start in starts
                if path.startswith(start)
                and re.split(r"[./]", path[len(start) :], maxsplit=1)[0] == package
            ]
            if beside:
                yield finding(
                    "SL501",
                    f"{visible(file.name)} names the module {package}, which lies beside it as {visible(beside[0])}:"
                    " a program that opens the file in that folder runs that code",
                    file.name,
                    severity="medium",
                )


def beside(seen: Sequence[Finding], events: Sequence[Event], named: NamedPackages) -> list[Finding]:
    """What happened, told together with the packages that had to be there for it."""
    if named.room is None:
        return list(seen)
    shown = ", ".join(named.titles)
    words = f" (This happened only beside the installed packages that the pickles name: {shown}.)"
    return [
        msgspec.structs.replace(found, detail=found.detail + words)
        if found.evidence and all(events[index].stage == STAGE for index in found.evidence)
        else found
        for found in seen
    ]


def unshown(named: NamedPackages, source: str) -> list[Finding]:
    """Pickles that name more installed packages than a room is shown: what these do was not seen."""
    return [finding("SL501", named.unshown, source, severity="medium")] if named.unshown else []


def joined(seen: Sequence[Finding], extracted: Extracted) -> list[Finding]:
    """What happened, told together with the call that it came from: the only grave one of the
    pickles, or the one whose arguments name what was reached or run."""
    calls = [
        (file, named)
        for file in extracted.files
        for named in file.callables
        if named.called
        and SEVERITIES.index(pickle_names.weigh(named)[0]) >= SEVERITIES.index("medium")
    ]
    return [_with_origin(found, calls) for found in seen]


def _with_origin(found: Finding, calls: list[tuple[ExtractedFile, NamedCallable]]) -> Finding:
    named_in = [(file, named) for file, named in calls if _names(named.arguments, found)]
    origins = named_in or calls
    if SEVERITIES.index(found.severity) < SEVERITIES.index("medium") or len(origins) != 1:
        return found
    file, named = origins[0]
    origin = f"{named.name} at byte {named.offset} of {named.member or 'the pickle'}"
    detail = f"{found.detail} (The call came from {visible(file.name)}: {visible(origin)}.)"
    return msgspec.structs.replace(found, detail=detail, origin=_origin(file, named))


def _origin(file: ExtractedFile, named: NamedCallable, arguments: str = "") -> Origin:
    return Origin(file.name, named.member, named.offset, named.at, named.name, arguments)


def _names(arguments: str, found: Finding) -> bool:
    """Whether a call's arguments hold what a finding is about: a program, a path, an address."""
    command = found.detail.partition("The model tried to run: ")[2]
    words = {
        found.location,
        found.location.rpartition(":")[0].strip("[]"),
        command,
        *command.split()[-1:],
    }
    return any(len(word) > 3 and word in arguments for word in words)


def _of_file(file: ExtractedFile, whole: bool, inert: frozenset[str]) -> Iterator[Finding]:
    # The gravest first, so that many small ones cannot hide it.
    weighed = sorted(
        ((*pickle_names.weigh(named, inert), named) for named in file.callables),
        key=lambda each: -SEVERITIES.index(each[0]),
    )
    yield from _brought(file)
    told = [each for each in weighed if each[2].use != "code"]
    for severity, why, named in told[:_MOST_OF_ONE_KIND]:
        if severity == "low" and named.opcode in NAMED_BY:
            continue  # any configuration names classes
        where = f"{file.name}: {named.member or 'pickle'} at byte {named.offset}"
        verb = _VERBS.get(named.use, "names") if named.called or named.use == "held" else "names"
        given = f" with {named.arguments}" if named.arguments else ""
        because = f": {why}" if why else ""
        found = finding(
            "SL501",
            f"{visible(file.name)} {verb} {named.name}{given}{because}",
            where,
            severity=severity,
        )
        yield msgspec.structs.replace(found, origin=_origin(file, named, named.arguments))
    if len(file.callables) >= _MOST_CALLABLES:
        yield finding(
            "SL501",
            f"{visible(file.name)} names more callables than can be listed",
            file.name,
            severity="medium",
        )
    if file.format == "text" and file.name.endswith(".pth"):
        detail = f"{visible(file.name)} is a .pth file of text: in a folder of Python packages, Python runs such a file at every start"
        yield finding("SL502", detail, file.name, severity="medium")
    run = [named.arguments for severity, _, named in told if severity == "high" and named.called]
    for ident, what in _gravest(file.carried):
        if _is_run(what, run):
            continue
        planted = ident == "SL502" and _is_planted(what)
        is_mild = what == torchscript.COMPUTES or (ident == "SL706" and what.endswith(READS_ONLY))
        severity_of: Severity | None = "low" if is_mild else "medium" if planted else None
        said = f"{visible(file.name)} {mask(what)}"
        yield finding(ident, said, file.name, severity=severity_of)
    if file.status == "bomb":
        yield finding(
            "SL603",
            file.reason or f"{visible(file.name)} unpacks to more than the limit",
            file.name,
        )
    elif (
        file.status == "not_loadable"
        and file.reason
        and (whole or file.state == "opened")
        and not _is_vocabulary(file)
    ):
        yield finding("SL602", file.reason, file.name)


def _gravest(carried: Sequence[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """Of each finding the first ones; of programs those that something imports by itself before others."""
    told: Counter[str] = Counter()
    for ident, what in sorted(
        carried, key=lambda each: each[0] == "SL502" and not _is_planted(each[1])
    ):
        told[ident] += 1
        if told[ident] <= _MOST_OF_ONE_KIND:
            yield ident, what


def _is_planted(what: str) -> bool:
    """Whether a program within an archive has the name of a module that Python or its libraries import by themselves,
    at its top or in its only folder."""
    # The first step of the path is a packed archive's own name, where it has one.
    found = re.match(r"holds the program '(?:[^/']+\.tar/)?(?:[^/']+/)?(\w+)\.py'", what)
    return found is not None and found[1] in rules("behaviour")["imports"]["names"]


def _is_run(what: str, arguments: Sequence[str]) -> bool:
    """Whether a text that the file is said to carry is what one of its grave calls is given: loading does run it,
    and the finding on the call says so."""
    held = re.search(r" and calls \S+: (.+); loading the file does not run it$", what, re.DOTALL)
    return held is not None and any(held[1] in given for given in arguments)


def _brought(file: ExtractedFile) -> Iterator[Finding]:
    """The code that pickles of the file bring: one fact, of however many parts it is put together."""
    parts = [named for named in file.callables if named.use == "code"]
    if parts:
        made = ", ".join(dict.fromkeys(named.name for named in parts))
        more = "" if len(made) <= 300 else " and others"
        yield finding(
            "SL502",
            f"{visible(file.name)} carries code: its pickle holds Python functions or classes, or their source, "
            f"and whoever unpickles it runs them (by {made[:300]}{more})",
            f"{file.name}: {parts[0].member or 'pickle'} at byte {parts[0].offset}",
            severity="medium",
        )


def _is_vocabulary(file: ExtractedFile) -> bool:
    """Whether it is a tokenizer's, which nobody reads weights from: it need not be a file of weights."""
    return tokenizer_files.MODELS.fullmatch(file.name.rpartition("/")[2]) is not None


def folder(inventory: Inventory, configuration: Configuration, *, exporting: bool) -> list[Finding]:
    """Judge what the folder brings besides weights. configuration: what its room said of it. exporting:
    what would take too long is not in the copy that is made, and is low then."""
    found = [
        finding(
            "SL505", f"{visible(leak)} lies outside of the model's folder", leak.partition(":")[0]
        )
        for leak in inventory.leaves[:_MOST_OF_ONE_KIND]
    ]
    found += _code_beside(inventory)
    found += [
        msgspec.structs.replace(
            finding("SL504", f"A template in {visible(path)} {what}", path), line=line or None
        )
        for path, what, line in configuration.reaches
    ]
    grave = sorted(configuration.requests, key=lambda ask: -SEVERITIES.index(ask.severity))
    found += [
        msgspec.structs.replace(
            finding(
                ask.finding,
                f"{ask.location}: {mask(ask.value)} {ask.why}",
                ask.location,
                severity="low" if exporting and ask.kind == "cost" else ask.severity,
            ),
            line=ask.line or None,
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
        (
            planted,
            "have the names of modules that Python or its libraries import by themselves",
            "medium",
        ),
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
    if snapshot.standing == "unreferenced":
        detail = (
            f"No branch and no tag of {snapshot.name.repo} holds {snapshot.commit}. The commit may come from "
            "a pull request, which anyone can open, or from a history that was rewritten."
        )
        return [finding("SL701", detail, where)]
    if snapshot.standing == "pull_request":
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
            + (
                f" ({len(members) - 1} more tensors differ in the same way.)"
                if len(members) > 1
                else ""
            ),
            f"{file}: {members[0].tensor}",
        )
        for (file, _), members in groups.items()
    ]
