"""The second load of a model, by the stock library and by ours, in turns and in one process.

    python -m benchmarks.again FOLDER ROUNDS

prints {"stock": [seconds, ...], "safe": [...]}. The first load of each is not among them: it clears
the model, and warms up the library.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import transformers
from safe_load import transformers as safe


def main(folder: str, rounds: int) -> None:
    libraries: dict[str, Any] = {"stock": transformers, "safe": safe}
    libraries["stock"].logging.set_verbosity_error()
    libraries["stock"].logging.disable_progress_bar()
    times: dict[str, list[float]] = {name: [] for name in libraries}
    for turn in range(rounds + 1):
        for name, library in libraries.items():
            began = time.perf_counter()
            library.AutoModel.from_pretrained(folder)
            if turn:
                times[name].append(time.perf_counter() - began)
    print(json.dumps(times))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
