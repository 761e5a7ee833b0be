"""The JSON Schema of a report, made from the types in `report` and the sentences here.

    python -m dev.report_schema > loader/core/report.schema.json

Zone: controller.
"""

from __future__ import annotations

import sys
from typing import Any

import msgspec
from safe_load.core.report import RUN_SCHEMA, SCHEMA, Report, Run

DIALECT = "https://json-schema.org/draft/2020-12/schema"

#: What each field says. A field without a sentence here fails the tests.
FIELDS: dict[str, dict[str, str]] = {
    "Report": {
        "schema": "Name and version of this form. A field may be added to it; none changes meaning.",
        "tool": "What wrote the report.",
        "source": "What was opened.",
        "signature": "The signature that lies beside the source. null: there is none.",
        "attestation": "The attestation that was accepted. null: none was asked for, or none accepted.",
        "card": "What the model's card (README.md) says of it. null: no card that reads, or none that says any of this.",
        "started": "When the load began: ISO 8601, UTC.",
        "duration_s": "Seconds from start to verdict.",
        "settings": "The settings in force, and where each came from.",
        "verdict": "malicious: a high or critical finding. suspicious: a medium finding and none above. clean: neither. unknown: the source was not loaded, and nothing was found.",
        "outcome": "How the load ended. Each has its own exit code.",
        "outcome_detail": "The reason in one sentence, if the outcome is not ok.",
        "sandbox": "The room in which the source was opened.",
        "files": "The regular files of the source.",
        "stages": "The duration of each stage, in order. Stages may overlap.",
        "recording": "The system calls that were recorded.",
        "egress": "Data that the model tried to send; nothing leaves the room.",
        "processes": "Programs that were executed or refused.",
        "connections": "Of a tool, the connections that were handed to the controller. egress has those that were not.",
        "offers": "What an MCP server that was inspected offers.",
        "decoys": "The fake credentials of the room that something in it opened.",
        "findings": "The findings against the source.",
        "advisories": "Whether the source was compared with lists of known malicious models.",
        "tensors": "What the weights hold.",
        "export": "The exported folder. null: nothing was exported.",
        "weights": "The comparison with the base that --base names. null: none was named.",
        "resources": "The resources that the load used.",
        "notes": "Facts that are no findings: a key left out of config.json, a file that was not opened and why.",
    },
    "Connection": {
        "t": "Seconds since the run began.",
        "pid": "The process that asked for it, as seen inside.",
        "comm": "The name of that process.",
        "host": "The host, as the rule names it.",
        "address": "The address that was reached; empty where none was.",
        "port": "The port.",
        "tls_name": "The name in the TLS ClientHello; empty where it is no TLS.",
        "bytes_sent": "Bytes from the tool that went on.",
        "bytes_received": "Bytes that came back.",
        "decision": "allowed; refused: what the tool said first, or the address, does not fit the rule; failed: the host was not reached.",
        "rule": "The rule that names it.",
        "why": "The reason, where the decision is not allowed.",
    },
    "Offer": {
        "server": "The server's name.",
        "kind": "tool, prompt, resource or template.",
        "name": "Its name, or its URI.",
        "digest": "SHA-256 of its definition: JSON with sorted keys, no spaces, UTF-8. Empty where it has no such form.",
        "description": "The first 1000 characters of its description.",
    },
    "Run": {
        "schema": "Name and version of this form.",
        "tool": "What wrote the document.",
        "sources": "The number of sources of each verdict.",
        "exit_code": "The worst of the sources' exit codes.",
        "left_alone": "What the given folders hold besides the sources.",
        "reports": "One report for each source, in the order of the sources.",
    },
    "LeftAlone": {
        "reason": "Why the files belong to no source.",
        "count": "The number of files.",
        "paths": "The first of their paths.",
    },
    "Tool": {"name": "Always safe-load.", "version": "Its version."},
    "Source": {
        "path": "As it was given: a file, a folder, or hf://ORG/NAME.",
        "revision": "The commit that a Hugging Face source was pinned to.",
        "publisher": "The organisation or user that the source's name gives. null: the name gives none.",
        "vouched": "What speaks for the publisher. trust file: a signature that the user's trust file names; hub: the hub calls the organisation verified; list: it is on the list of known publishers; unknown: nothing.",
        "pinned": "Whether the user named the full commit. null: the source is on no hub.",
        "pin": "The name that gives the same files next time. null: there is none.",
        "hub": "What the hub says of the repository. null: the source is on no hub.",
    },
    "Advisories": {
        "state": "checked, or not checked: no list was imported, or none could be read.",
        "why": "The reason for not checked, and what limits checked: expired lists, files without a SHA-256.",
        "age_days": "The age of the oldest list. null: not known.",
        "entries": "The number of models on the lists.",
    },
    "HubWord": {
        "asked": "yes, or why it was not asked.",
        "name": "The repository that the hub answered with, after renames.",
        "created": "ISO 8601.",
        "changed": "ISO 8601.",
        "downloads": "As the hub counts them, of the last 30 days.",
        "likes": "As the hub counts them.",
        "base_models": "As the model's card names them.",
        "verified": "Whether the hub calls the organisation verified. null: it does not say.",
        "scan": "The hub's own scan of the files.",
    },
    "Card": {
        "licenses": "The license.",
        "license_names": "The name of a license that is called other.",
        "datasets": "What it was trained on.",
        "base_models": "What it was made of.",
        "libraries": "The library that loads it.",
        "tasks": "What it is for.",
    },
    "Attestation": {
        "file": "The name of the file with the statements.",
        "signer": "Whose key it was signed with.",
        "time": "When the source was opened there.",
        "report": "The SHA-256 of the report of that run.",
        "instead": "Whether nothing was opened here for it.",
    },
    "Signature": {
        "file": "Its name.",
        "state": "verified: a signer of the trust file made it. wrong: it does not fit. unknown signer: nobody who is trusted here made it. not checked, unreadable: detail says why.",
        "signer": "The signer's name in the trust file, and how the signature names them. null: not verified.",
        "covered": "The number of the source's files that it signs as they are.",
        "detail": "Why it is not verified.",
    },
    "Setting": {
        "name": "The name of its flag, without the dashes.",
        "value": "As it was in force.",
        "from": "default; argument: of a Python call; profile NAME; a flag, a variable, or the path of a configuration file.",
    },
    "SandboxInfo": {
        "backend": "What built the room: native or docker.",
        "runtime": "The container runtime, where there is one.",
        "tier": "A: a room of its own around the cell. B: the cell alone. null: none was built.",
        "profile": "The policy that held.",
        "walls": "Each wall, with its state.",
        "weaknesses": "The points in which the profile is weaker than the shipped one. Only --unsafe-profile allows them.",
    },
    "WallState": {
        "name": "For example landlock, seccomp, network-namespace.",
        "state": "standing; weaker: another mechanism takes its place; missing.",
        "detail": "The other mechanism, or the reason why the wall is missing.",
    },
    "FileInfo": {
        "path": "Relative to the source.",
        "size": "Bytes.",
        "sha256": "Of the whole file, in hex. null with --no-hash.",
        "format": "The format that the bytes have, whatever the name says.",
        "state": "opened: read as data, and tried as its usual loaders would. data: proven to carry no code. not_judged: may carry code, and was not opened. left_out: the same, where a load has no need of it.",
        "why": "One clause on the state.",
    },
    "Stage": {
        "name": "inventory, extract, detonate, convert, rewrite, compare or export.",
        "duration_s": "Seconds.",
    },
    "Recording": {
        "level": "standard: all refused calls and a list of telling calls. full: all calls that can be recorded.",
        "complete": "false: events were lost or capped.",
        "dropped": "The number of lost events.",
        "syscalls": "For each recorded system call: how often it was allowed and refused.",
        "events": "The calls one by one; equal ones in a row are one event with a count.",
    },
    "SyscallCount": {"allowed": "Times.", "denied": "Times."},
    "Event": {
        "t": "Seconds since the load began.",
        "stage": "The stage of the load.",
        "pid": "Process id inside the room.",
        "ppid": "The parent's, 0 where it was not known.",
        "comm": "The process's name for itself.",
        "syscall": "The name of the system call.",
        "args": "Its arguments by name, as far as they were decoded.",
        "decision": "allowed; denied; redirected: the call reached a listener of the room instead.",
        "errno": "The error that the caller got.",
        "count": "How many equal calls this event stands for.",
    },
    "Egress": {
        "t": "Seconds since the load began.",
        "protocol": "For example dns, tcp, udp.",
        "address": "The destination, as the sender knew it.",
        "port": "The port, where the protocol has one.",
        "domain": "The host name that was looked up before.",
        "payload_preview": "The first bytes as text.",
        "payload_bytes": "The number of bytes that were sent.",
        "carries": "The fake credentials of the room that are in the data, for example: an SSH key.",
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
        "title": "The kind of finding, in one line.",
        "detail": "What happened in this load.",
        "location": "The file, and the place in it where that is known.",
        "evidence": "Indices into recording.events.",
        "accepted": "The user's exception that covers the finding, which does not count then.",
        "line": "The line of a file of text, from 1. null: not known, or no line.",
        "origin": "The call in a file that the finding is about, or that led to it. null: not known, or no call.",
    },
    "AcceptedBy": {
        "sha256": "Of the file that the exception is about, in hex.",
        "reason": "Why, in the user's words.",
        "until": "The last day, as 2027-01-31.",
        "from": "The configuration file, or argument.",
    },
    "Origin": {
        "file": "The file's path.",
        "member": "The part of an archive; empty for the file itself.",
        "offset": "Bytes within the member.",
        "at": "Bytes within the file. null: the member is packed.",
        "callable": "What is called.",
        "arguments": "What it is given, as Python would show it, cut.",
    },
    "Decoy": {"path": "Where it lies in the room.", "what": "For example: an SSH key."},
    "Tensor": {
        "name": "As exported.",
        "dtype": "As safetensors spells it.",
        "shape": "The lengths of its dimensions.",
        "bytes": "Its size.",
        "histogram": "How its numbers are spread; only with --histograms, and for types of single numbers.",
    },
    "Tensors": {
        "count": "The number of tensors.",
        "parameters": "The number of parameters in all tensors.",
        "bytes": "Of the tensors as exported, tied ones once.",
        "dtypes": "The number of tensors of each type.",
        "tied": "Groups of names that share one storage.",
        "first": "The name of the first tensor, in the order of the files.",
        "last": "The name of the last tensor.",
        "listed": "The first 1,000 tensors, tied ones once.",
    },
    "Histogram": {
        "counts": "Numbers of the sample in each of equal steps from low to high.",
        "low": "The least number of the sample.",
        "high": "The greatest number of the sample.",
        "sampled": "How many numbers were looked at: 4,096 at most.",
        "not_finite": "How many of them are infinite or no number.",
    },
    "Export": {
        "path": "The folder.",
        "files": "The files in the folder.",
        "reader": "What reads the folder by its own calls. lora: load_lora_weights of diffusers and what is like it. null: nothing is known but that the weights are safetensors.",
    },
    "ExportedFile": {
        "path": "Relative to the folder.",
        "size": "Bytes.",
        "digests": "Of the whole file.",
    },
    "Digests": {
        "blake3": "BLAKE3 of 256 bits, in hex.",
        "sha256": "In hex; only with --hash-export.",
    },
    "Weights": {
        "base": "What the weights were compared with.",
        "claim": "What the source is said to be of it: copy, quantisation or conversion. null: nothing.",
        "sentence": "The kind of change in words.",
        "outliers": "The tensors that make it surgical.",
        "difference": "As safe-load diff --format json prints it.",
    },
    "Difference": {
        "schema": "Name and version of this form.",
        "class": "identical, rounding, adapter, surgical, fine-tune or unrelated; docs/weights.md explains them.",
        "rank": "Of an adapter, the highest rank of a change. null: no adapter.",
        "tensors": "Every tensor, the most telling first.",
    },
    "TensorChange": {
        "name": "In the source; in the base, for one that is missing.",
        "state": "identical, changed, added or missing.",
        "relative": "The norm of the difference over the norm in the base. null: not compared.",
        "top1": "The share of the difference's energy in its first singular direction. null: no matrix of 64 by 64.",
        "top8": "The same of the first eight directions.",
        "z": "How far the change lies from those of its peers, in robust standard deviations. null: no peers.",
    },
    "Resources": {
        "peak_memory_bytes": "The highest memory use of the room.",
        "cpu_s": "Processor seconds inside the room.",
        "peak_processes": "The highest number of processes and threads.",
    },
}


def schema() -> dict[str, Any]:
    """The schema as a JSON value, each type and field with its description.

    Fields that it does not know are allowed: a later version may add some.
    """
    kinds, definitions = msgspec.json.schema_components(
        [Report, Run], ref_template="#/$defs/{name}"
    )
    for name, fields in FIELDS.items():
        for field, sentence in fields.items():
            definitions[name]["properties"][field]["description"] = sentence
    for name, value in (("Report", SCHEMA), ("Run", RUN_SCHEMA)):
        definitions[name]["properties"]["schema"] |= {"const": value}
        # The schema field has a default in Python, but a report without it is not recognisable.
        definitions[name]["required"] = ["schema", *definitions[name]["required"]]
    return {"$schema": DIALECT, "title": SCHEMA, "anyOf": list(kinds), "$defs": definitions}


def text() -> bytes:
    """The schema file's content."""
    return msgspec.json.format(msgspec.json.encode(schema(), order="sorted"), indent=2) + b"\n"


if __name__ == "__main__":
    sys.stdout.buffer.write(text())
