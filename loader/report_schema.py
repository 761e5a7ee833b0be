"""The JSON Schema of a report, made from the types in `report` and the sentences here.

    python -m safe_load.report_schema > loader/report.schema.json

Zone: controller.
"""

from __future__ import annotations

import sys
from typing import Any

import msgspec
from safe_load.report import SCHEMA, Report

DIALECT = "https://json-schema.org/draft/2020-12/schema"

#: What each field says. A field without a sentence here fails the tests.
FIELDS: dict[str, dict[str, str]] = {
    "Report": {
        "schema": "Name and version of this form. A field may be added to it; none changes meaning.",
        "tool": "What wrote the report.",
        "source": "What was opened.",
        "started": "When the load began: ISO 8601, UTC.",
        "duration_s": "Seconds from start to verdict.",
        "verdict": "What the findings amount to. High or critical: malicious. Medium: suspicious. None of these: clean. unknown: it was not loaded, and nothing was found.",
        "outcome": "How the load ended. Each has its own exit code.",
        "outcome_detail": "One sentence on why, where the outcome is not ok.",
        "sandbox": "The room it was opened in.",
        "files": "The regular files of the source.",
        "stages": "How long each step took, in order. Steps may overlap.",
        "recording": "The system calls that were recorded.",
        "egress": "What was sent, or would have been: nothing leaves the room.",
        "processes": "Programs that were executed or refused.",
        "findings": "What speaks against the source.",
        "tensors": "What the weights hold.",
        "export": "What was written for you. null: nothing was.",
        "resources": "What the load cost.",
        "notes": "Facts that are no findings: a key left out of config.json, a file that was not opened and why.",
    },
    "Tool": {"name": "Always safe-load.", "version": "Its version."},
    "Source": {
        "path": "As it was given: a file, a folder, or hf://ORG/NAME.",
        "revision": "The commit that a Hugging Face source was pinned to.",
    },
    "SandboxInfo": {
        "backend": "What built the room: native or docker.",
        "runtime": "The container runtime, where there is one.",
        "tier": "A: a room of its own around the cell. B: the cell alone. null: none was built.",
        "profile": "The policy that held.",
        "walls": "Each wall by name.",
    },
    "WallState": {
        "name": "For example landlock, seccomp, network-namespace.",
        "state": "standing; weaker: something stood in for it; missing.",
        "detail": "What stood in for it, or why it is missing.",
    },
    "FileInfo": {
        "path": "Relative to the source.",
        "size": "Bytes.",
        "sha256": "Of the whole file, in hex. null with --no-hash.",
        "format": "As the bytes say, whatever the name says.",
    },
    "Stage": {
        "name": "inventory, extract, detonate, compare or export.",
        "duration_s": "Seconds.",
    },
    "Recording": {
        "level": "standard: all that was refused and a list of telling calls. full: all that can be recorded.",
        "complete": "false: events were lost or capped.",
        "dropped": "How many were.",
        "syscalls": "For each system call that was seen: how often it was allowed and refused.",
        "events": "The calls one by one; equal ones in a row are one event with a count.",
    },
    "SyscallCount": {"allowed": "Times.", "denied": "Times."},
    "Event": {
        "t": "Seconds since the load began.",
        "stage": "The step that it happened in.",
        "pid": "Process id inside the room.",
        "ppid": "The parent's, 0 where it was not known.",
        "comm": "The process's name for itself.",
        "syscall": "The name of the system call.",
        "args": "Its arguments by name, as far as they were decoded.",
        "decision": "allowed; denied; redirected: it reached a listener of ours instead.",
        "errno": "The error that the caller got.",
        "count": "How many equal calls this event stands for.",
    },
    "Egress": {
        "t": "Seconds since the load began.",
        "protocol": "For example dns, tcp, udp.",
        "address": "The address it was sent to, as the sender knew it.",
        "port": "The port, where the protocol has one.",
        "domain": "The host name that was looked up before.",
        "payload_preview": "The first bytes as text.",
        "payload_bytes": "How many bytes were sent.",
    },
    "Process": {
        "t": "Seconds since the load began.",
        "pid": "Process id inside the room.",
        "ppid": "The parent's.",
        "argv": "The command.",
    },
    "Finding": {
        "id": "SL and three digits; docs/findings.md has a section on each.",
        "severity": "low, medium, high or critical.",
        "title": "What was found, in one line.",
        "detail": "The particulars of this one.",
        "location": "The file, and the place in it where that is known.",
        "evidence": "Indices into recording.events.",
    },
    "Tensors": {
        "count": "How many tensors.",
        "parameters": "How many numbers in all.",
        "bytes": "Of the tensors as exported, tied ones once.",
        "dtypes": "How many tensors of each type.",
        "tied": "Groups of names that share one storage.",
    },
    "Export": {"path": "The folder.", "files": "What is in it."},
    "ExportedFile": {
        "path": "Relative to the folder.",
        "size": "Bytes.",
        "sha256": "Of the whole file, in hex.",
    },
    "Resources": {
        "peak_memory_bytes": "The most memory that the room held at once.",
        "cpu_s": "Processor seconds inside the room.",
        "peak_processes": "The most processes and threads at once.",
    },
}


def schema() -> dict[str, Any]:
    """The schema as a JSON value, each type and field with its description.

    Fields that it does not know are allowed: a later version may add some.
    """
    (top,), definitions = msgspec.json.schema_components([Report], ref_template="#/$defs/{name}")
    for name, fields in FIELDS.items():
        for field, sentence in fields.items():
            definitions[name]["properties"][field]["description"] = sentence
    definitions["Report"]["properties"]["schema"] |= {"const": SCHEMA}
    # The schema field has a default in Python, but a report without it is not recognisable.
    definitions["Report"]["required"] = ["schema", *definitions["Report"]["required"]]
    return {"$schema": DIALECT, "title": SCHEMA, **top, "$defs": definitions}


def text() -> bytes:
    """The schema file's content."""
    return msgspec.json.format(msgspec.json.encode(schema(), order="sorted"), indent=2) + b"\n"


if __name__ == "__main__":
    sys.stdout.buffer.write(text())
