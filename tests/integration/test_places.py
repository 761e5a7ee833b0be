"""Where the Python that runs safe-load may live."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

PROGRAM = """
import sys
sys.path[:0] = sys.argv[1].split(":")
from pathlib import Path
from safe_load import profiles
from safe_load.sandbox.backends.interface import Job
from safe_load.sandbox.backends.native.backend import NativeBackend
from safe_load.sandbox.backends.native.warm import WarmBackend
from safe_load.sandbox.backends.request import WarmSpec

assert sys.base_prefix.startswith("/tmp/"), sys.base_prefix
modules = (Path(sys.argv[2]),)
job = Job("load", "job:main", {}, modules=modules)
strict = profiles.load("strict")
with WarmBackend(strict, WarmSpec(("job:main",), (), (), modules)) as warm:
    for backend in (NativeBackend(strict), warm):
        for _ in range(2):
            result = backend.run(job)
            print(result.status, result.reason, result.value)
"""
JOB = """
import os, sys

def main(argument, outputs):
    import fractions, wave
    scratch = os.path.join(os.environ["TMPDIR"], "mine")
    open(scratch, "w").close()
    try:
        open(fractions.__file__, "a")
    except OSError as error:
        return {"library": error.strerror, "scratch": os.path.exists(scratch)}
"""


@pytest.fixture
def below_tmp() -> Iterator[Path]:
    """A folder of this test's own, wherever pytest keeps its own."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        yield Path(folder)


@pytest.mark.skipif(platform.system() != "Linux", reason="native rooms are Linux's")
def test_a_python_below_tmp_is_not_covered_by_the_rooms_scratch_folder(below_tmp: Path) -> None:
    tmp_path = below_tmp
    place = tmp_path / "python"
    base = Path(sys.base_prefix)
    version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    skipped = shutil.ignore_patterns("site-packages", "test", "__pycache__", "idlelib", "*.a")
    shutil.copytree(base / sys.platlibdir / version, place / "lib" / version, ignore=skipped)
    for library in (base / "lib").glob("libpython*.so*"):
        shutil.copy(library, place / "lib" / library.name)
    (place / "bin").mkdir()
    python = place / "bin" / version
    shutil.copy(Path(sys.executable).resolve(), python)
    (tmp_path / "job.py").write_text(JOB)
    tmp_path.chmod(0o755)
    shown = [path for path in sys.path if path and Path(path).is_dir() and "site-packages" in path]
    import safe_load

    shown.append(str(Path(safe_load.__path__[0]).parent))
    done = subprocess.run(
        [python, "-I", "-c", PROGRAM, ":".join(shown), tmp_path / "job.py"],
        env={"LD_LIBRARY_PATH": str(place / "lib"), "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    # Root's worker is nobody, whom the file's mode stops first; a user's own file, the read-only mount.
    why = "Permission denied" if os.geteuid() == 0 else "Read-only file system"
    assert done.stdout.splitlines() == [f"ok  {{'library': '{why}', 'scratch': True}}"] * 4, (
        done.stdout + done.stderr
    )
