"""The findings that there are: each id with its usual severity and its title.

Zone: controller. Each id has a section in docs/findings.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from safe_load.core.report import Finding, Severity

if TYPE_CHECKING:
    from collections.abc import Sequence

#: id -> (severity, title). A finding may raise or lower the severity where it says so.
RULES: dict[str, tuple[Severity, str]] = {
    "SL101": ("high", "The model tried to run a program"),
    "SL102": ("medium", "A tool left processes running behind its back"),
    "SL201": ("high", "The model tried to reach the network"),
    "SL202": ("medium", "The model tried to look up a host name"),
    "SL203": ("medium", "The model asked for an unusual kind of socket"),
    "SL301": ("high", "The model looked for credentials"),
    "SL302": ("medium", "The model tried to write outside the scratch folder"),
    "SL303": ("medium", "The model tried to read a file that no load needs"),
    "SL401": ("medium", "The model made a system call that no load needs"),
    "SL501": ("low", "A pickle names a callable that is not an ordinary one"),
    "SL502": ("low", "The model brings Python code"),
    "SL503": ("medium", "A configuration asks for code, a kernel or another repository"),
    "SL504": ("medium", "A chat template does more than build text"),
    "SL505": ("high", "An index points out of the model's folder"),
    "SL506": ("medium", "The file's format carries code"),
    "SL507": ("medium", "A file that may carry code was not judged"),
    "SL601": ("high", "Loading the file gives other weights than its bytes hold"),
    "SL602": ("low", "The file is malformed"),
    "SL603": (
        "medium",
        "Loading or using the file takes far more memory or time than its size suggests",
    ),
    "SL701": ("medium", "The commit is on no branch of its repository"),
    "SL702": ("medium", "The publisher's name imitates another's"),
    "SL703": ("medium", "The model bears the name of another publisher's"),
    "SL704": ("medium", "The source is not pinned, and a pin is required"),
    "SL705": ("medium", "The publisher is not one of those that are required"),
    "SL706": ("medium", "A link or a text holds a key"),
    "SL707": ("medium", "The weights are nearly those of another publisher"),
    "SL708": ("critical", "The model is on a list of known malicious ones"),
    "SL710": ("high", "The signature does not verify"),
    "SL711": ("high", "A file is not the one that was signed"),
    "SL712": ("medium", "The signature does not cover a file that was opened"),
    "SL713": ("medium", "A signature is required, and there is none that counts"),
    "SL714": ("medium", "The signature cannot be read"),
    "SL715": ("medium", "An attestation is required, and there is none that counts"),
    "SL801": ("high", "Few weights were edited where a copy is claimed"),
    "SL802": ("high", "A trigger fixes what the model writes"),
    "SL803": ("medium", "The model says otherwise than its base"),
    "SL901": ("high", "A text of an MCP server holds characters that nobody sees"),
    "SL902": ("high", "A text of an MCP server steers the model that reads it"),
    "SL903": ("medium", "A tool of an MCP server reaches for another server's tools"),
    "SL904": ("medium", "An MCP server offers something else than before"),
    "SL911": ("high", "A link of the chain is not in the committed register"),
    "SL912": ("high", "A link of the chain is pinned less tightly than it was"),
    "SL913": ("high", "A link of the chain is not the version that was committed"),
    "SL914": ("high", "Something new speaks against a link of the chain"),
    "SL915": ("critical", "A link of the chain is known to be malicious"),
    "SL916": ("high", "A file that names links of the chain was not read"),
    "SL917": ("medium", "A link of the chain is not pinned"),
    "SL918": ("low", "What a link of the chain is pinned to is not told"),
    "SL919": ("high", "A definition of an MCP server is not the one that was committed"),
}


def finding(
    ident: str,
    detail: str,
    location: str = "",
    evidence: Sequence[int] = (),
    severity: Severity | None = None,
) -> Finding:
    """A finding by its id. detail: one or two sentences that say what happened and where."""
    usual, title = RULES[ident]
    return Finding(ident, severity or usual, title, detail, location, list(evidence))
