"""A controller in a process of its own: reads jobs as lines of JSON, runs each in a fresh room, and
answers with one line.

The tests start it as root or as an ordinary user, look at its rooms from outside, and kill it. It
is a script and not a module, so that any interpreter of the same version can run it:

    python -I controller.py FOLDER_OF_PACKAGES...
"""

from __future__ import annotations

import importlib
import os
import runpy
import site
import sys
import tempfile
import threading
from contextlib import ExitStack
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from collections.abc import Callable

_KEPT = 1 << 16  # bytes of each output that the tests get to see
_MODULES = tuple(sorted((Path(__file__).parent / "programs").glob("*.py")))
_ENTRY = "anything:run"
_kept: dict[str, Any] = {}


def main(folders: list[str]) -> None:
    """Serve until the end of standard input."""
    for folder in folders:
        site.addsitedir(folder)  # and not sys.path alone: an editable install is a .pth file
    import msgspec

    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    _open_to_heirs()
    for line in sys.stdin.buffer:
        answer = _run(msgspec.json.decode(line))
        answers.write(msgspec.json.encode(answer) + b"\n")
        answers.flush()
    for backend in _kept.values():
        backend.close()


def _open_to_heirs() -> None:
    """A secret in a descriptor that any child of a careless controller would inherit."""
    descriptor = os.memfd_create("secret", 0)
    os.write(descriptor, os.environb.get(b"SAFE_LOAD_TEST_SECRET", b""))


def _run(request: dict[str, Any]) -> dict[str, Any]:
    from safe_load import profiles
    from safe_load.sandbox.backends.interface import Bind, Job

    profile = profiles.load(_PROFILES.get(request["backend"], "strict"))
    profile = _adapt(profile, dict(request["profile"]))
    job: dict[str, Any] = request["job"]
    with ExitStack() as stack:
        # With names: a container is told one.
        files = [
            stack.enter_context(tempfile.NamedTemporaryFile()) for _ in range(request["outputs"])
        ]
        backend = _backend(request, profile, stack)
        stop_after = request["stop_after"]
        if stop_after == "told":  # by one more line
            told = threading.Thread(target=lambda: sys.stdin.buffer.readline() and backend.stop())
            stack.callback(told.join)
            told.start()
        elif stop_after is not None:
            timer = threading.Timer(stop_after, backend.stop)
            stack.callback(timer.join)
            stack.callback(timer.cancel)
            timer.start()
        result = backend.run(
            Job(
                name="conformance",
                entry=_ENTRY,
                argument={"entry": job["entry"], "argument": job["argument"]},
                files=tuple(Bind(Path(source), target) for source, target in job["files"]),
                outputs=tuple(file.fileno() for file in files),
                output_limit=job["output_limit"],
                modules=_MODULES,
            )
        )
        return {"result": result, "outputs": [_look(file) for file in files]}


def _backend(request: dict[str, Any], profile: Any, stack: ExitStack) -> Any:
    """One for this job; or, where containers wait for jobs, the one of the job before if it was the
    same."""
    name = request["backend"]
    key = repr((name, request["profile"], request["options"]))
    if key not in _kept:
        while _kept:
            _kept.popitem()[1].close()
        backend = _factory(name)(profile, **request["options"])
        if name != "docker-warm":
            stack.callback(backend.close)
            return backend
        _kept[key] = backend
    return _kept[key]


def _look(file: IO[bytes]) -> dict[str, Any]:
    return {
        "size": os.fstat(file.fileno()).st_size,
        "head": os.pread(file.fileno(), _KEPT, 0).hex(),
    }


def _adapt(profile: Any, changes: dict[str, Any]) -> Any:
    """The profile with some fields changed; those of `limits` and `recording` one by one."""
    import msgspec

    inner = {
        name: msgspec.structs.replace(getattr(profile, name), **changes.pop(name))
        for name in ("limits", "recording")
        if name in changes
    }
    return msgspec.structs.replace(profile, **changes, **inner)


def _factory(name: str) -> Callable[..., Any]:
    """What makes that backend: somebody else's, where the suite is to prove it in its place."""
    theirs = os.environ.get("CONFORMANCE_BACKEND")
    if theirs is None:
        return _BACKENDS[name]
    place, _, function = theirs.rpartition(":")
    if place.endswith(".py"):
        return cast("Callable[..., Any]", runpy.run_path(place)[function])
    return cast("Callable[..., Any]", getattr(importlib.import_module(place), function))


def _native(profile: Any, **options: Any) -> Any:
    from safe_load.sandbox.backends.native.backend import NativeBackend

    return NativeBackend(profile, **options)


def _alone(profile: Any, **options: Any) -> Any:
    import msgspec

    return _native(msgspec.structs.replace(profile, tiers=("B",)), **options)


def _warm(profile: Any, **options: Any) -> Any:
    from safe_load.sandbox.backends.native.warm import WarmBackend
    from safe_load.sandbox.backends.request import WarmSpec

    return WarmBackend(profile, WarmSpec((_ENTRY,), (), (), _MODULES), **options)


def _traced(profile: Any, **options: Any) -> Any:
    """The native room, with its calls answered as on a kernel that cannot notify of them."""
    from safe_load.sandbox.backends.native.backend import NativeBackend

    class Traced(NativeBackend):
        stopped = True

    return Traced(profile, **options)


def _docker(profile: Any, **options: Any) -> Any:
    from safe_load.core.version import version
    from safe_load.sandbox.backends.docker.backend import DockerBackend

    image = os.environ["SAFE_LOAD_TEST_IMAGE"]
    return DockerBackend(profile, image=image, version=version(), **options)


def _docker_warm(profile: Any, **options: Any) -> Any:
    from safe_load.core.version import version
    from safe_load.sandbox.backends.docker.warm import WarmDockerBackend
    from safe_load.sandbox.backends.request import WarmSpec

    image = os.environ["SAFE_LOAD_TEST_IMAGE"]
    warm_spec = WarmSpec((_ENTRY,), (), (), _MODULES)
    return WarmDockerBackend(profile, warm_spec, image=image, version=version(), **options)


def _gvisor(profile: Any, **options: Any) -> Any:
    return _docker(profile, runtime="runsc", **options)


#: Every backend of ours that the suite proves: one line here, and one in conftest.BACKENDS.
_BACKENDS: dict[str, Callable[..., Any]] = {
    "native": _native,
    "native-b": _alone,
    "choosing": _native,
    "warm": _warm,
    "traced": _traced,
    "docker": _docker,
    "docker-warm": _docker_warm,
    "gvisor": _gvisor,
}
#: The profile of each, where it is not `strict`: where tier A is proven, nothing else shall pass for it.
_PROFILES = dict.fromkeys(
    ("native", "warm", "traced", "docker", "docker-warm", "gvisor"), "strict-a"
)


if __name__ == "__main__":
    main(sys.argv[1:])
