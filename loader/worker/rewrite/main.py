"""Read what lies beside a model's weights and write it anew, and say what it asked for besides.

Zone: worker, in a room of its own. What is returned and written is hostile all the same: the
controller types it, bounds it and checks its form (safe_load.rewrite).
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any

from safe_load.worker.rewrite import chat_templates, folder_files
from safe_load.worker.rewrite.files import File
from safe_load.worker.rewrite.lines import Lines
from safe_load.worker.rewrite.model_card import facts as card_facts

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from safe_load.worker.rewrite.config_requests import ConfigRequest

#: Of each kind of what is told, and of the characters of one text. What is beyond is cut, gravest last.
MAX_REQUESTS, MAX_REACHES, MAX_DROPPED, MAX_NOTES = 500, 50, 40, 500
MAX_TEXT = 1500
#: Requests whose line is looked for.
MAX_LINES = 50
_SEVERITIES = ("high", "medium", "low")


def main(argument: dict[str, Any], outputs: Sequence[int]) -> dict[str, Any]:
    """Write the configuration of one model anew.

    Args:
        argument: {"files": [[name, place, size in bytes]], "python": [names of the folder's files of
            Python], "converted": {folder: {name: place}}, tokenizers that a room made of others;
            no file for a tokenizer that could not be converted}.
        outputs: One descriptor for all the new files, one after the other; or none, where nothing is
            exported.

    Returns:
        {"error": why the model's own configuration does not read, or null; "files": [[name, size]] in
        their order; "requests": [ConfigRequest as a dict, and its line]; "reaches": [[file, what its template does,
        on which line, or 0]];
        "dropped": [[place, why]], "more_dropped": a count; "notes": [text]; "card": what the
        model's card says}.

    Raises:
        OSError: A file cannot be opened, or the output cannot be written.
    """
    files = [File(*each) for each in argument["files"]]
    converted = {
        folder: {name: File(name, place, 0).read() for name, place in made.items()}
        for folder, made in argument["converted"].items()
    }
    out = folder_files.rewrite(files, argument["python"], converted)
    out.requests += folder_files.requests_of_others(files)
    lines = Lines(files)
    reaches = list(islice(chat_templates.reaches(files), MAX_REACHES))
    written = {_text(name): data for name, data in out.files.items()} if outputs else {}
    for data in written.values():
        with open(outputs[0], "ab", closefd=False) as file:
            file.write(data)
    return {
        "error": None if out.error is None else _text(out.error),
        "files": [[name, len(data)] for name, data in written.items()],
        "requests": [
            _request(each, lines.of(each.location) if number < MAX_LINES else 0)
            for number, each in enumerate(_gravest(out.requests))
        ],
        "reaches": [
            [_text(name), _text(what), lines.of_text(name, code)] for name, what, code in reaches
        ],
        "dropped": [
            [_text(each.location), _text(each.reason)] for each in out.dropped[:MAX_DROPPED]
        ],
        "more_dropped": max(0, len(out.dropped) - MAX_DROPPED),
        "notes": [_text(note) for note in out.notes[:MAX_NOTES]],
        "card": {
            key: [_text(value) for value in values] for key, values in card_facts(files).items()
        },
    }


def _gravest(requests: Iterable[ConfigRequest]) -> list[ConfigRequest]:
    return sorted(requests, key=lambda each: _SEVERITIES.index(each.severity))[:MAX_REQUESTS]


def _request(request: ConfigRequest, line: int) -> dict[str, str | int]:
    return {
        "location": _text(request.location),
        "value": _text(request.value),
        "why": _text(request.why),
        "kind": request.kind,
        "severity": request.severity,
        "finding": request.finding,
        "line": line,
    }


def _text(text: str) -> str:
    """The text as JSON can carry it, and no longer than the controller takes."""
    text = text if len(text) <= MAX_TEXT else f"{text[: MAX_TEXT - 1]}…"
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
