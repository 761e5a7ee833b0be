"""Write loader/worker/rewrite/peft_keys.json: the keys of each kind of adapter that peft can load.

    pip install peft && python -m dev.peft_table > loader/worker/rewrite/peft_keys.json

What names another model, a place, a module to import or a configuration that only training reads stays
away; so do adapters that are made of other adapters.
"""

from __future__ import annotations

import dataclasses
import json
import sys

import peft  # type: ignore[import-not-found, unused-ignore]
from peft.mapping import (  # type: ignore[import-not-found, unused-ignore]
    PEFT_TYPE_TO_CONFIG_MAPPING,
)

#: Keys that lead elsewhere. arrow_config and adapters name other adapters; megatron_core is imported.
ELSEWHERE = frozenset(
    "base_model_name_or_path revision auto_mapping tokenizer_name_or_path tokenizer_kwargs "
    "prompt_tuning_init_state_dict_path megatron_core megatron_config runtime_config adapters "
    "arrow_config shadow_model".split()
)
MADE_OF_OTHERS = frozenset({"XLORA", "SHADOW"})


def main() -> None:
    """Print the table."""
    table = {
        kind.value: " ".join(
            sorted(
                field.name
                for field in dataclasses.fields(config)
                if field.name not in ELSEWHERE and not field.name.endswith("_config")
            )
        )
        for kind, config in PEFT_TYPE_TO_CONFIG_MAPPING.items()
        if kind.value not in MADE_OF_OTHERS
    }
    json.dump({"peft": peft.__version__, "types": table}, sys.stdout, indent=1, sort_keys=True)
    print()


if __name__ == "__main__":
    main()
