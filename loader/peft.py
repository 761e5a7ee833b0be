"""peft, with every adapter opened by way of the sandbox. Change one import:

    from safe_load.peft import PeftModel
    from safe_load.transformers import AutoModelForCausalLM

    model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained("base"), "adapter")

As safe_load.transformers: a class with from_pretrained is a stand-in that reads cleared folders and makes objects of
the genuine class; all else is the very object that peft has. What those objects load later (`load_adapter`) is led
through the sandbox by safe_load.guard() alone.

Zone: the caller's process.
"""

from __future__ import annotations

from typing import Any

from safe_load.dropin.stand_ins import Names

_names = Names("safe_load.peft", "peft", brought_by="peft")


def __getattr__(name: str) -> Any:
    return _names.get(name)


def __dir__() -> list[str]:
    return _names.all()
