"""Types are learnt by one thread, whichever asks first."""

from __future__ import annotations

import subprocess
import sys

#: Eight threads that use one type for the first time, at once, and again with a fresh type each time. The
#: annotations take long to look up, which is when msgspec has shown other threads a type half learnt.
_CODE = """
import sys, threading
import msgspec
from safe_load.core import typed
sys.setswitchinterval(1e-6)
fields = "".join(f"    f{i}: 'list[dict[str, int | None]]' = []\\n" for i in range(30))
for turn in range(30):
    space = {"msgspec": msgspec}
    exec(f"class Inner(msgspec.Struct):\\n{fields}\\nclass Outer(msgspec.Struct):\\n    x: list[Inner]", space)
    kind, start = space["Outer"], threading.Barrier(8)
    def use():
        start.wait()
        typed.convert({"x": [{"f1": [{"a": 1}]}]}, kind)
        typed.decode(b'{"x": [{"f29": []}]}', kind)
    users = [threading.Thread(target=use) for _ in range(8)]
    for user in users: user.start()
    for user in users: user.join()
print("done")
"""


def test_threads_that_first_use_a_type_at_once_all_read_it() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _CODE], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "done\n", "")
