"""The rooms of one load: one reads the weights as data, the other does what a user would do, and a
third makes tokenizers of what is not exported as it is, where there is such a thing.

Zone: controller. They run side by side and share nothing: whatever the second room's worker turns
into, it never meets those that write what is let out. What comes back is typed and bounded by
`inside` before anyone looks at it.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import msgspec
from safe_load import profiles
from safe_load.configuration.conversion import Conversion, Converted
from safe_load.errors import LimitHit, NotLoadable, SafeLoadError, SandboxError, UsageError
from safe_load.formats.escape import visible
from safe_load.inside import Detonated, Extracted, read_detonated, read_extracted
from safe_load.judge import as_event
from safe_load.meanwhile import Meanwhile
from safe_load.report import Egress, Recording, Resources, SyscallCount, WallState
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

MODEL = "/model"
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


@dataclass(frozen=True)
class Opened:
    """How the rooms ended. conversion: the one for tokenizers, where it was needed; digests: relative
    path -> SHA-256 of the source's files; late: why the controller's own part, hashing and copying,
    did not come to its end."""

    extraction: RoomResult
    detonation: RoomResult
    digests: dict[str, str]
    late: SafeLoadError | None = None
    conversion: Converted = field(default_factory=Converted)

    @property
    def rooms(self) -> tuple[RoomResult, ...]:
        """All that there were."""
        third = self.conversion.room
        return (self.extraction, self.detonation, *([third] if third is not None else []))

    def results(self) -> tuple[Extracted, Detonated]:
        """What both workers said; empty where a room ended early. Raises SandboxError for what no
        worker of ours says."""
        try:
            detonated = read_detonated(self.detonation.value or {"files": []})
        except ValueError as error:
            raise SandboxError(str(error)) from error
        return _extracted(self.extraction), detonated

    def recording(self, started: float, level: str) -> Recording:
        """What was recorded in all rooms, in the order of time, t counted from `started`."""
        events = sorted(
            (event for room in self.rooms for event in room.events), key=lambda event: event.t
        )
        counts: dict[str, SyscallCount] = {}
        for room in self.rooms:
            for name, (allowed, denied) in sorted(room.syscalls.items()):
                before = counts.get(name, SyscallCount())
                counts[name] = SyscallCount(before.allowed + allowed, before.denied + denied)
        return Recording(
            level="full" if level == "full" else "standard",
            complete=all(room.complete for room in self.rooms),
            dropped=sum(room.dropped for room in self.rooms),
            syscalls=counts,
            events=[as_event(event, started) for event in events],
        )

    def heard(self, started: float) -> list[Egress]:
        """What the sinkholes of all rooms were told."""
        return [
            Egress(
                t=round(max(0.0, said.t - started), 6),
                protocol=said.protocol,
                address=said.address,
                port=said.port,
                domain=said.domain,
                payload_preview=said.preview,
                payload_bytes=said.size,
            )
            for room in self.rooms
            for said in room.egress
        ]

    def resources(self) -> Resources:
        """The rooms ran at once, so their peaks add up to a bound."""
        return Resources(
            peak_memory_bytes=sum(room.peak_memory for room in self.rooms),
            cpu_s=round(sum(room.cpu_s for room in self.rooms), 3),
            peak_processes=sum(room.peak_processes for room in self.rooms),
        )

    def walls(self) -> list[WallState]:
        """The walls that stood round the room in which the file's code ran."""
        return [WallState(wall.name, wall.state, wall.detail) for wall in self.detonation.walls]

    def trouble(self) -> SafeLoadError | None:
        """Why what the rooms said cannot be relied on; the sandbox's own failures come first."""
        by_status: dict[str, type[SafeLoadError]] = {
            "broken": SandboxError,
            "limit": LimitHit,
            "interrupted": SandboxError,
            "crashed": NotLoadable,
        }
        rooms = (("reading the weights", self.extraction), ("opening the model", self.detonation))
        if (swapped := self._swapped()) is not None:
            return SandboxError(f"{visible(swapped)} was replaced while its rooms were built")
        for status, error in by_status.items():
            for doing, room in rooms:
                if room.status == status:
                    return error(room.reason if status == "limit" else f"{doing}: {room.reason}")
        return self.conversion.trouble() or self.late

    def _swapped(self) -> str | None:
        """A file that one room was shown otherwise than it was hashed, or than another was: where a
        backend tells what it showed."""
        known = {f"{MODEL}/{path}": digest for path, digest in self.digests.items()}
        for room in self.rooms:
            for path, digest in room.shown.items():
                if known.setdefault(path, digest) != digest:
                    return path.removeprefix(f"{MODEL}/")
        return None


def _extracted(result: RoomResult) -> Extracted:
    try:
        return read_extracted(result.value or {"files": []})
    except ValueError as error:
        raise SandboxError(str(error)) from error


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
        return _docker(options, profile)
    if platform.system() != "Linux":
        if options.backend == "native":
            raise SandboxError("the native backend needs Linux: use --backend docker")
        return _docker(options, profile)
    if warm:
        from safe_load.sandbox.backends.warm import WarmBackend  # noqa: PLC0415

        return WarmBackend(profile, _furniture())
    from safe_load.sandbox.backends.native import NativeBackend  # noqa: PLC0415

    return NativeBackend(profile)


def _docker(options: Options, profile: Profile) -> Backend:
    from safe_load.sandbox.backends.docker import DockerBackend  # noqa: PLC0415

    image = options.image or default_image()
    return DockerBackend(profile, image=image, version=version(), runtime=options.runtime)


def default_image() -> str:
    """The image of this version, as `make image` calls it."""
    return f"safe-load:{version()}"


def _furniture() -> Furniture:
    """What loads of every kind want imported, as far as it is installed."""
    from safe_load.sandbox import runtime  # noqa: PLC0415
    from safe_load.sandbox.backends.warm import Furniture  # noqa: PLC0415
    from safe_load.worker.detonate import PRELOAD  # noqa: PLC0415

    everything = (*_NEEDED["weights"], *_NEEDED["model"])
    depth = "weights" if set(_NEEDED["model"]) & set(runtime.find(everything).missing) else "model"
    _require_installed(_NEEDED["weights"])
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
                    meanwhile.fill(staging, _extracted(result))
            except SafeLoadError as error:
                return result, error
            return result, None

    def convert() -> Converted:
        return conversion.read(run(conversion_job(conversion))) if conversion else Converted()

    with ThreadPoolExecutor(4, thread_name_prefix="room") as together:
        try:
            hashing = together.submit(meanwhile.digests) if options.hash else None
            extracting = together.submit(read)
            detonating = together.submit(run, trusting)
            converted = together.submit(convert).result()
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
            backend.stop()  # or leaving this block would wait for the rooms' time limits
            raise


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
