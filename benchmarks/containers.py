"""What the docker backend costs beside the native one."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from safe_load.core.version import version
from safe_load.rooms import choice
from safe_load.sandbox.backends.docker.engine import Engine, EngineError

from benchmarks import commands, results, ways
from benchmarks.warm import Warm

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.measure import Command

_BARE = "`docker run` of the bare image"


def backends(work: Path, figures: dict[str, float], rounds: int) -> list[ways.Table]:
    """A tiny model by both, cold and warm; nothing where no engine has this version's image."""
    image = os.environ.get("SAFE_LOAD_IMAGE") or choice.default_image()
    try:
        python = Engine().image(image, version()).python
    except EngineError as error:
        print(f"docker is left out: {error}", file=sys.stderr)
        return []
    tiny, out = work / "tiny", work / "out"
    run: Command = [
        *("docker", "run", "--rm", "--network", "none"),
        *("--entrypoint", python, image, "-c", "pass"),
    ]
    order = {"source": str(tiny), "target": str(out)}
    with Warm(tiny) as native, Warm(tiny, backend="docker", image=image) as docker:
        cold = commands.safe("load", tiny, out)
        cold_docker = commands.safe("load", tiny, out, "--backend", "docker", "--image", image)
        warm = ways.warm("warm `load`", native, "load", **order)
        warm_docker = ways.warm("warm `load`, docker", docker, "load", **order)
        rows = [ways.fresh(_BARE, run), cold, cold_docker, warm, warm_docker]
        table = ways.side_by_side("The same tiny BERT in containers", rows, out, rounds)
    for label in (_BARE, cold_docker.label, warm_docker.label):
        table.rows[label].note = "memory without that of containers"
    took = {row.label: row.median or 0.0 for row in table.rows.values()}
    figures[results.WARM_DOCKER] = took[warm_docker.label] / took[warm.label]
    figures[results.COLD_DOCKER] = took[cold_docker.label] / (took[_BARE] + took[cold.label])
    return [table]
