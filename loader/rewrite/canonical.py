"""The form of each file that a room wrote anew: under a name that is known, and in our own spelling.

Zone: controller. The room judged what the files hold; here nothing is believed of it but by one
pass of linear time. JSON is parsed within bounds and written once more, so no key stands twice and
nothing is between the values; text is UTF-8 without a zero byte. What asks for code, kernels or other
places has keys of known names, and none of them may stand in any configuration.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import msgspec
from safe_load.core import typed
from safe_load.core.errors import SandboxError
from safe_load.core.escape import visible
from safe_load.worker.rewrite import folder_files, tokenizer_files, tokenizer_json
from safe_load.worker.rewrite.config_requests import steering_keys
from safe_load.worker.rewrite.config_writer import render
from safe_load.worker.strict_json import Malformed, check_bounds, parse

if TYPE_CHECKING:
    from collections.abc import Container

#: Of one file: what is rendered with its indentation is longer than it was.
MAX_BYTES = 256 << 20
_MAX_ITEMS = 6_000_000
_MAX_STRING = 8 << 20


def check(name: str, data: bytes, folders: Container[str]) -> bytes:
    """What is exported under this name.

    Args:
        name: With its folder, as the room said it.
        data: What the room wrote.
        folders: Those that the source has, "" for its own.

    Raises:
        SandboxError: No worker of ours writes such a file.
    """
    folder, base = folder_files.place_of(name)
    if name.startswith("/") or folder not in folders or not folder_files.is_read(base):
        raise SandboxError(
            f"the rewrite room wrote {visible(name, 200)}, which it was not asked for"
        )
    try:
        return _written(base, data, name)
    except (Malformed, UnicodeError, msgspec.MsgspecError, OverflowError, ValueError) as error:
        raise SandboxError(
            f"the rewrite room wrote the file {visible(name, 200)}, which is not in canonical form: "
            f"{visible(str(error), 200)}"
        ) from error


def _written(base: str, data: bytes, where: str) -> bytes:
    if not base.endswith(".json"):
        if b"\0" in data:
            raise ValueError("it holds a zero byte")
        return data.decode("utf-8").encode("utf-8")
    if base == tokenizer_files.TOKENIZER:
        # Of the largest tokenizers this is 30 MB: a parser in C, after the same bounds.
        check_bounds(
            data,
            where=where,
            max_bytes=2 * tokenizer_json.MAX_BYTES,
            max_string=_MAX_STRING,
            max_items=_MAX_ITEMS,
        )
        return msgspec.json.encode(typed.plain(data)) + b"\n"
    value = parse(
        data,
        where=where,
        max_bytes=MAX_BYTES,
        max_string=_MAX_STRING,
        max_items=_MAX_ITEMS,
        max_depth=40,
        allow_nonfinite=True,
    )
    if tokenizer_files.is_vocabulary(base):
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        return text.encode("utf-8") + b"\n"
    if not isinstance(value, dict | list):
        raise ValueError("it is neither an object nor a list")
    _require_no_steering(value)
    return render(value)


def _require_no_steering(value: dict[str, Any] | list[Any]) -> None:
    waiting: list[Any] = [value]
    while waiting:
        inner = waiting.pop()
        if isinstance(inner, dict):
            if not steering_keys().isdisjoint(inner):
                raise ValueError("it holds a key that asks for code, a kernel or another place")
            waiting += inner.values()
        elif isinstance(inner, list):
            waiting += inner
