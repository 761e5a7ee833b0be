"""The flags of the commands, as click shows them. Several commands share each group."""

from __future__ import annotations

import click
from safe_load.cli.tool_flags import given
from safe_load.core.claims import CLAIMS
from safe_load.core.fail_on import FAIL_ON
from safe_load.core.options import (
    BACKENDS,
    DEPTHS,
    KEEP,
    NAMES,
    QUANTISED,
    RECORDS,
)
from safe_load.render import FORMATS

__all__ = ["given"]

ROOMS = [
    click.option(
        "--profile",
        metavar="NAME|FILE",
        help="What a room may use, and when a source is rejected. [default: strict]",
    ),
    click.option(
        "--backend", type=click.Choice(BACKENDS), help="What builds the rooms. [default: auto]"
    ),
    click.option(
        "--runtime", metavar="NAME", help="The container runtime of the docker backend, e.g. runsc."
    ),
    click.option(
        "--image",
        metavar="NAME",
        help="The image of the docker backend. [default: safe-load:VERSION]",
    ),
]
_DEPTH = [
    click.option(
        "--depth",
        type=click.Choice(DEPTHS),
        help="How much of the model to load in the room. static: read the files as data and load nothing; needs no torch. [default: auto: model if there is a config.json, else weights]",
    ),
]
FAIL = [
    click.option(
        "--fail-on",
        type=click.Choice(FAIL_ON),
        help="The lowest severity that rejects a source. [default: the profile's; medium in strict]",
    ),
]
_RECORD = [
    click.option(
        "--record",
        type=click.Choice(RECORDS),
        help="full: also write each system call that can be recorded to a .trace.jsonl file beside the report. [default: standard]",
    ),
]
LIMITS = [
    click.option(
        "--timeout",
        metavar="TIME",
        help="Time limit for one source: 90s, 5m. [default: the profile's]",
    ),
    click.option(
        "--memory",
        metavar="SIZE",
        help="Memory limit for one source: 8GiB. [default: the profile's]",
    ),
]
_FILES = [
    click.option(
        "--all-files",
        is_flag=True,
        default=None,
        help="Download and judge all files of a source on a hub, not only those that a load opens.",
    ),
    click.option(
        "--trust",
        metavar="FILE",
        help="The trust file: whose signatures count, for which publishers. [default: none]",
    ),
    click.option(
        "--require-signature",
        is_flag=True,
        default=None,
        help="Reject a source that no signer of the trust file has signed.",
    ),
    click.option(
        "--require-pin",
        is_flag=True,
        default=None,
        help="Reject a source whose name does not hold the full commit.",
    ),
    click.option(
        "--require-publisher",
        metavar="NAME",
        multiple=True,
        callback=lambda _context, _option, value: value or None,
        help="Reject a source of any other publisher: a name, a pattern (google-*), listed (the list of known publishers and your own), verified (by the hub). May be repeated.",
    ),
    click.option(
        "--require-attestation",
        metavar="PEM",
        help="Accept a source that the owner of this public key has attested, without opening it again (scan), and no other.",
    ),
    click.option(
        "--no-hash",
        is_flag=True,
        default=None,
        help="Do not hash the source's files; the report has no SHA-256.",
    ),
    click.option(
        "--histograms",
        is_flag=True,
        default=None,
        help="Also sample each tensor's numbers in the room: the HTML page and the JSON report show how they are spread.",
    ),
    click.option(
        "--no-cache",
        is_flag=True,
        default=None,
        help="Open the source even if an earlier run has opened the same files under the same policy.",
    ),
]
CONFIG = [
    click.option(
        "--config",
        metavar="FILE",
        help="Take the settings from this file and no other; none: from no file.",
    ),
]
_PROGRESS = [
    click.option(
        "--progress",
        type=click.Choice(("auto", "jsonl")),
        default="auto",
        help="jsonl: tell of each stage and source on stderr, a JSON object a line. [default: auto: on a terminal]",
    ),
]
UNSAFE = [
    click.option(
        "--unsafe-profile",
        is_flag=True,
        help="Also take a profile file that is weaker than the shipped one.",
    ),
]
SETTINGS = [
    *ROOMS,
    *_DEPTH,
    *FAIL,
    *_RECORD,
    *LIMITS,
    *_FILES,
    *CONFIG,
    *_PROGRESS,
    *UNSAFE,
]
WEIGHTS = [
    click.option(
        "--weights-of",
        metavar="KEY",
        help="Of a pickled checkpoint, export the weights under this key, e.g. model_ema.",
    ),
    click.option(
        "--names",
        type=click.Choice(NAMES),
        help="own: weights that a checkpoint wraps keep their own names; path: every tensor gets its full path. [default: own]",
    ),
    click.option(
        "--keep",
        type=click.Choice(KEEP),
        help="all: also export what is not weights, e.g. an optimizer's state. [default: weights]",
    ),
    click.option(
        "--quantised",
        type=click.Choice(QUANTISED),
        help="Of GGUF: numbers writes quantised tensors as float32, blocks the bytes as they are. [default: numbers]",
    ),
]
TREE = [
    click.option(
        "--recursive",
        is_flag=True,
        help="Also look for models below a folder that is a model itself; each is a source of its own.",
    ),
    click.option(
        "--include",
        metavar="GLOB",
        multiple=True,
        help="Of a folder, open only files that match: 'models/**', '*.bin'. May be repeated.",
    ),
    click.option(
        "--exclude",
        metavar="GLOB",
        multiple=True,
        help="Of a folder, leave alone files that match. May be repeated.",
    ),
    click.option(
        "--changed-since",
        metavar="REV",
        help="Of a git checkout, open only sources of which a file differs from that commit.",
    ),
    click.option(
        "--gitignore",
        is_flag=True,
        help="Of a git checkout, leave alone files that .gitignore names and no commit holds.",
    ),
]
REPORTS = [
    click.option(
        "--format",
        "format_",
        type=click.Choice(list(FORMATS)),
        help="The form of the report. [default: human]",
    ),
    click.option(
        "--output", metavar="FILE", help="Write the report to FILE, and nothing to stdout."
    ),
    click.option(
        "--report",
        "reports",
        metavar="FORMAT=FILE",
        multiple=True,
        help="Also write the report to FILE in this form. May be repeated.",
    ),
    click.option(
        "--findings-url",
        metavar="URL",
        help="Where docs/findings.md can be read: the rules of SARIF link to its sections. [default: no link]",
    ),
    click.option(
        "-q",
        "--quiet",
        is_flag=True,
        default=None,
        help="Show no progress, and of each source one line, with the reason where it did not pass.",
    ),
    click.option(
        "-v",
        "--verbose",
        is_flag=True,
        help="Show all findings, what was sent, every act, the walls that are weaker and the notes.",
    ),
    click.option("--no-color", is_flag=True, default=None, help="Use no colours on a terminal."),
]
CLAIM = [
    click.option(
        "--claim",
        type=click.Choice(CLAIMS),
        help="What the model is said to be of its base: a surgical change is then a finding. [default: what its card says]",
    ),
]
BASE = [
    click.option(
        "--base",
        metavar="BASE",
        help="Compare the weights with those of this source, as `safe-load diff` does: hf://ORG/NAME@REVISION or a path.",
    ),
    *CLAIM,
]
DIFF = [
    *CLAIM,
    *ROOMS,
    *FAIL,
    *LIMITS,
    *CONFIG,
    *UNSAFE,
    click.option(
        "--format",
        "format_",
        type=click.Choice(("human", "json", "html")),
        help="The form of the answer. [default: human]",
    ),
    click.option(
        "--output", metavar="FILE", help="Write the answer to FILE, and nothing to stdout."
    ),
    click.option(
        "-q", "--quiet", is_flag=True, default=None, help="Show no progress, and one line."
    ),
    click.option("-v", "--verbose", is_flag=True, help="Name more of the changed tensors."),
    click.option("--no-color", is_flag=True, default=None, help="Use no colours on a terminal."),
]
AS_JSON = click.option(
    "--format",
    "format_",
    type=click.Choice(("human", "json")),
    default="human",
    help="The form of the output. [default: human]",
)
TRUST = click.option(
    "--trust",
    metavar="FILE",
    help="The trust file: whose signatures count, for which publishers. [default: the settings']",
)
NO_COLOR = click.option("--no-color", is_flag=True, help="Use no colours on a terminal.")
