# What transformers has, but for the auto classes, whose types it leaves open. mypy goes by the first
# that a name stands for and pyright by the last: so they come before the rest and after it.
# ruff: noqa: F403
# isort: skip_file
from safe_load.dropin.auto_types import *
from transformers import *  # type: ignore[assignment]
from safe_load.dropin.auto_types import *
