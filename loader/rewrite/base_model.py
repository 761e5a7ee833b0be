"""The base model of an adapter, named in the copy by the user's word alone.

Zone: controller. peft loads an adapter onto the model that it is handed; AutoPeftModel and transformers
look for the base under the name that adapter_config.json gives.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from safe_load.worker.rewrite.adapter_files import CONFIG
from safe_load.worker.rewrite.config_writer import render
from safe_load.worker.strict_json import parse, require_object

if TYPE_CHECKING:
    from collections.abc import Mapping


def name_it(files: Mapping[str, bytes], base: str | None) -> dict[str, bytes]:
    """The files, in which every configuration of an adapter names this base. base: ORG/NAME or
    ORG/NAME@REVISION; None: no name."""
    named = dict(files)
    if base is None:
        return named
    repository, _, revision = base.partition("@")
    for name, data in files.items():
        if name.rpartition("/")[2] == CONFIG:
            config = require_object(parse(data, where=name, allow_nonfinite=True), name)
            config |= {"base_model_name_or_path": repository, "revision": revision or None}
            named[name] = render(config)
    return named
