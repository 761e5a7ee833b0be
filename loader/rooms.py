"""The rooms of one load: one reads the weights as data, the other does what a user would do, and a
third makes tokenizers of what is not exported as it is, where there is such a thing.

Zone: controller. They run side by side and share nothing: whatever the second room's worker turns
into, it never meets those that write what is let out. What comes back is read by `opened`.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import msgspec
from safe_load import profiles
from safe_load.configuration.conversion import Conversion, Converted
from safe_load.errors import LimitHit, NotLoadable, SafeLoadError, SandboxError, UsageError
from safe_load.meanwhile import Meanwhile
from safe_load.opened import MODEL, Opened, extracted
from safe_load.sandbox.backends.interface import Bind, Job, RoomResult
from safe_load.version import version

if TYPE_CHECKING:
    from safe_load.decoys import Decoys
    from safe_load.export import Staging
    from safe_load.inventory import Entry, Inventory
    from safe_load.options import Options, Progress
    from safe_load.profiles import Profile
    from safe_load.sandbox.backends.interface import Backend
    from safe_load.sandbox.backends.warm import Furniture

_EXTRACT, _DETONATE = "safe_load.worker.extract:main", "safe_load.worker.detonate:main"
_CONVERT = "safe_load.worker.convert_tokenizer:main"
#: Bytes of each tensor that both rooms digest, so that a load which edits weights is seen.
FINGERPRINT = 256 << 10
#: What may be written for each byte that was read, and besides.
_GROWTH, _HEADER = 4, 128 << 20
_NEEDED = {"weights": ("torch", "numpy", "safetensors"), "model": ("transformers", "tokenizers")}
#: Shown where installed: what tokenizers and processors of common models import.
_WELCOME = ("joblib", "sentencepiece", "protobuf", "tiktoken", "pillow", "scipy", "einops")
#: All that a room may be furnished with: what these do decides what a load lets out.
FURNISHING = (*_NEEDED["weights"], *_NEEDED["model"], *_WELCOME)

Timed = Callable[[str], AbstractContextManager[None]]


def profile_of(options: Options) -> Profile:
    """The profile that the options name, with the limits they change. Raises UsageError."""
    try:
        profile = profiles.load(options.profile)
    except profiles.ProfileError as error:
        raise UsageError(str(error)) from error
    changed = {"timeout": options.timeout, "memory": options.memory}
    limits = msgspec.structs.replace(
        profile.limits, **{name: value for name, value in changed.items() if value is not None}
    )
    return msgspec.structs.replace(profile, limits=limits)


def backend_of(options: Options, profile: Profile, *, warm: bool = False) -> Backend:
    """The backend that the options ask for. warm: with a room that is kept for many loads. Raises
    UsageError for options that contradict each other, SandboxError when this machine has none."""
    if options.backend == "native" and (options.runtime or options.image):
        raise UsageError("--runtime and --image are for --backend docker")
    if options.backend == "docker" or options.runtime or options.image:
        return _docker(options, profile, warm=warm)
    if platform.system() != "Linux":
        if options.backend == "native":
            raise SandboxError("the native backend needs Linux: use --backend docker")
        return _docker(options, profile, warm=warm)
    if warm:
        from safe_load.sandbox.backends.warm import WarmBackend  # noqa: PLC0415

        return WarmBackend(profile, _furniture(borrowed=True))
    from safe_load.sandbox.backends.native import NativeBackend  # noqa: PLC0415

    return NativeBackend(profile)


def _docker(options: Options, profile: Profile, *, warm: bool) -> Backend:
    image = options.image or default_image()
    if warm:
        from safe_load.sandbox.backends.docker_warm import WarmDockerBackend  # noqa: PLC0415

        furniture = _furniture(borrowed=False)
        return WarmDockerBackend(
            profile, furniture, image=image, version=version(), runtime=options.runtime
        )
    from safe_load.sandbox.backends.docker import DockerBackend  # noqa: PLC0415

    return DockerBackend(profile, image=image, version=version(), runtime=options.runtime)


def default_image() -> str:
    """The image of this version, as `make image` calls it."""
    return f"safe-load:{version()}"


def _furniture(*, borrowed: bool) -> Furniture:
    """What loads of every kind want imported; borrowed: of this Python's packages, as far as they are
    installed. An image has them all."""
    from safe_load.sandbox import runtime  # noqa: PLC0415
    from safe_load.sandbox.backends.warm import Furniture  # noqa: PLC0415
    from safe_load.worker.detonate import PRELOAD  # noqa: PLC0415

    everything = (*_NEEDED["weights"], *_NEEDED["model"])
    depth = "model"
    if borrowed:
        _require_installed(_NEEDED["weights"])
        if set(_NEEDED["model"]) & set(runtime.find(everything).missing):
            depth = "weights"
    needed = everything if depth == "model" else _NEEDED["weights"]
    entries = (_DETONATE, _CONVERT) if depth == "model" else (_DETONATE,)
    return Furniture(entries, PRELOAD[depth], (*needed, *_WELCOME), light=(_EXTRACT,))


def depth_of(stock: Inventory, options: Options) -> str:
    """The depth of this load: "auto" is "model" where there is a config.json."""
    walkable = stock.folder and stock.named("config.json") is not None
    if options.depth == "auto":
        return "model" if walkable else "weights"
    if options.depth != "weights" and not walkable:
        raise NotLoadable(f"{stock.source} has no config.json, which --depth {options.depth} needs")
    return options.depth


def open_model(
    backend: Backend,
    stock: Inventory,
    staging: Staging | None,
    decoys: Decoys,
    options: Options,
    stage: Timed,
    tell: Callable[[Progress], None],
    trace: Callable[[bytes], None] | None,
) -> Opened:
    """Run the rooms, and hash the source beside them. Returns when everything inside is dead."""
    reading = extraction_job(stock, staging)
    trusting = detonation_job(stock, depth_of(stock, options), decoys, borrowed=backend.borrows)
    conversion = Conversion.of(stock, staging) if staging is not None else None
    meanwhile = Meanwhile(stock, tell, time.monotonic() + backend.profile.limits.timeout)

    def run(job: Job) -> RoomResult:
        with stage(job.name):
            return backend.run(replace(job, trace=trace))

    def read() -> tuple[RoomResult, SafeLoadError | None]:
        with stage(reading.name):
            result = backend.run(replace(reading, trace=trace))
            try:
                if staging is not None and result.status == "ok":
                    meanwhile.fill(staging, extracted(result))
            except SafeLoadError as error:
                return result, error
            return result, None

    def convert() -> Converted:
        return conversion.read(run(conversion_job(conversion))) if conversion else Converted()

    with ThreadPoolExecutor(4, thread_name_prefix="room") as together:
        rooms: list[Future[Any]] = []
        try:
            hashing = together.submit(meanwhile.digests) if options.hash else None
            rooms.append(extracting := together.submit(read))
            rooms.append(detonating := together.submit(run, trusting))
            rooms.append(converting := together.submit(convert))
            converted = converting.result()
            extraction, late = extracting.result()
            detonation = detonating.result()
            digests: dict[str, str] = {}
            try:  # what was seen in the rooms is not lost where this fails
                digests = hashing.result() if hashing else {}
            except (LimitHit, NotLoadable) as error:
                late = late or error
            return Opened(extraction, detonation, digests, late, converted)
        except BaseException:
            meanwhile.end()
            stop_until_done(backend, rooms)
            raise


def stop_until_done(backend: Backend, loads: Sequence[Future[Any]]) -> None:
    """End the rooms of these loads, also of one that has not come to its room yet: nobody shall have
    to wait for its time limit."""
    while left := [load for load in loads if not load.done()]:
        backend.stop()
        wait(left, timeout=0.1)


def extraction_job(stock: Inventory, staging: Staging | None) -> Job:
    """Read every file as data; write those of the model's weights to descriptors of `staging`."""
    opened = [entry for entry in stock.entries if entry.role != "text"]
    outputs: list[int] = []
    files = []
    # One bound for all outputs: views are written out, headers are padded, and no more than that.
    limit = sum(entry.size for entry in stock.weights) * _GROWTH + _HEADER
    for entry in opened:
        file: dict[str, object] = {
            "path": f"{MODEL}/{entry.path}",
            "name": entry.path,
            "output": None,
            "structure": not stock.folder,
        }
        if staging is not None and entry.export is not None:
            file |= {"output": len(outputs), "size_limit": limit}
            outputs.append(staging.open_output(entry.export))
        files.append(file)
    callables = profiles.rules("callables")["allowed"]
    return Job(
        name="extract",
        entry=_EXTRACT,
        argument={
            "files": files,
            "total_limit": limit,
            "callables": [*callables["names"], *callables["modules"]],
            "fingerprint_budget": FINGERPRINT,
        },
        files=_binds(opened),
        outputs=tuple(outputs),
        output_limit=limit,
    )


def detonation_job(stock: Inventory, depth: str, decoys: Decoys, *, borrowed: bool = True) -> Job:
    """Do with the folder what a trusting user would do. borrowed: with this Python's packages."""
    from safe_load.worker.detonate import PRELOAD  # noqa: PLC0415 - a table of module names

    files = stock.loaded
    needed = _NEEDED["weights"] if depth == "weights" else (*_NEEDED["weights"], *_NEEDED["model"])
    if borrowed:
        _require_installed(needed)
    return Job(
        name="detonate",
        entry=_DETONATE,
        argument={
            "files": [
                {"path": f"{MODEL}/{entry.path}", "name": entry.path, "format": "unknown"}
                for entry in files
            ],
            "depth": depth,
            "folder": MODEL,
            "fingerprint_budget": FINGERPRINT,
        },
        # Also for safetensors, whose library imports torch: what an import opens is not the model's doing.
        preload=PRELOAD[depth],
        distributions=(*needed, *_WELCOME),
        files=_binds(stock.entries),
        planted=decoys.files,
        environment=decoys.environment,
    )


def conversion_job(conversion: Conversion) -> Job:
    """Make a tokenizer.json of every tokenizer that is not exported as it is."""
    from safe_load.worker.convert_tokenizer import PRELOAD  # noqa: PLC0415 - names of modules

    needed = (*_NEEDED["weights"], *_NEEDED["model"])
    _require_installed(needed)
    return Job(
        name="convert",
        entry=_CONVERT,
        argument={"folders": [f"{MODEL}/{folder}" for folder in conversion.folders]},
        preload=PRELOAD,
        distributions=(*needed, *_WELCOME),
        files=_binds([entry for entries in conversion.folders.values() for entry in entries]),
        outputs=conversion.outputs,
        output_limit=conversion.limit,
    )


def _require_installed(distributions: tuple[str, ...]) -> None:
    from safe_load.sandbox import runtime  # noqa: PLC0415

    missing = runtime.find((*distributions, *_WELCOME)).missing
    absent = [name for name in distributions if name in missing]
    if absent:
        raise SandboxError(
            f"the room needs {' and '.join(absent)}, which this Python does not have: pip install 'safe-load[models]'"
        )


def _binds(entries: tuple[Entry, ...] | list[Entry]) -> tuple[Bind, ...]:
    return tuple(Bind(entry.place, f"{MODEL}/{entry.path}", entry.identity) for entry in entries)
