"""transformers, with every model opened by way of the sandbox. Change one import:

    from safe_load.transformers import AutoModelForCausalLM, AutoTokenizer, pipeline

All that transformers has is here under its name. A class with from_pretrained is a stand-in: it
makes, and counts as its own, objects of the genuine class, and reads only cleared folders. All else
is the very object that transformers has. Importing this module imports nothing; transformers comes
with the first name. What type checkers see is in transformers.pyi.

Zone: the caller's process.
"""

from __future__ import annotations

from safe_load.dropin.stand_ins import __dir__, __getattr__

__all__ = ["__dir__", "__getattr__"]
