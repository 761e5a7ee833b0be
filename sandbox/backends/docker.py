"""The docker backend: a room is a container, built by an engine, used for one job.

Zone: controller. The engine builds the outer walls; the supervisor of the image is pid 1, looks at
each of them, and goes on as in any other room (safe_load.sandbox.room.contained). Everything that
comes back comes over the attached streams.
"""

from __future__ import annotations

import json
import os
import stat
import threading
import time
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safe_load.sandbox import runtime
from safe_load.sandbox.backends import docker_stream, gvisor, hearing
from safe_load.sandbox.backends.docker_engine import (
    LABEL_CONTROLLER,
    Container,
    Engine,
    EngineError,
    Image,
    mark,
)
from safe_load.sandbox.backends.hearing import Heard
from safe_load.sandbox.backends.interface import Backend, Job, RoomResult, Wall
from safe_load.sandbox.backends.native import BOOTSTRAP, common, folders_of
from safe_load.sandbox.policy import Policy, PolicyError, compile_policy, container_filter
from safe_load.sandbox.room import contained, launch, root

if TYPE_CHECKING:
    from collections.abc import Iterator

    from safe_load.profiles import Limits, Profile
    from safe_load.sandbox.backends.docker_stream import Stream
    from safe_load.sandbox.backends.gvisor import Witness

#: Who the container's processes are when the controller is root; an ordinary user is himself.
_NOBODY = 65532
_ROOT = "the container's user is root, without any capability: only root may read the model's files"
_HOME_FILES = 128
#: Memory of the supervisor and of the kernel on its behalf, above what the watch grants the job.
_SLACK = 1 << 30
_TASKS = 32
STARVED = "memory limit: the kernel ended the container, which had no memory left"


class DockerBackend(Backend):
    """A container for each job. runtime: of the engine, e.g. "runsc"; the engine's own default when
    None. patience_s: as of NativeBackend."""

    name = "docker"
    tier = "A"
    kind = "docker"
    borrows = False
    #: Whether calls are stopped for a tracer instead of notified: as on NativeBackend.
    stopped = False

    def __init__(
        self,
        profile: Profile,
        *,
        image: str,
        version: str,
        runtime: str | None = None,
        patience_s: float = 300.0,
    ) -> None:
        self.profile = profile
        self.runtime = runtime
        self.patience_s = patience_s
        self._image = image
        self._version = version
        self._prepared: tuple[Engine, Image] | None = None
        self._preparing = threading.Lock()
        self._policies: dict[bool, Policy] = {}
        self._running: set[Attached] = set()
        self._stops = 0

    def run(self, job: Job) -> RoomResult:
        started = time.monotonic()
        heard = Heard(trace=job.trace)
        stops = self._stops
        witness = None
        try:
            engine, image = self._prepare()
            policy = self._policy(full=job.trace is not None)
            user = self._user(engine, job)
            # The root of a rootless engine's containers is the caller already.
            lent = nullcontext() if engine.is_rootless else _writable(job, user)
            with lent, ExitStack() as stack:
                container = self._create(engine, image, user, job.name, "contained", _binds(job))
                attached = Attached(engine, container)
                stack.callback(attached.end)
                self._running.add(attached)
                stack.callback(self._running.discard, attached)
                if self.kind == "gvisor":
                    witness = gvisor.Witness(self.profile.limits.events)
                    heard.shift = None  # gVisor's clock starts with the container
                stream = attached.start(witness)
                if self._stops == stops:
                    self._converse(stream, image, job, policy, heard, user)
                if heard.walls:
                    self._tell_limits(engine, heard)
            if witness is not None and heard.walls:
                witness.end()
                witness.testify(heard, self.profile, job.name)
                heard.walls["kernel"] = Wall(
                    "kernel", "standing", "gVisor's, between the room and the host's"
                )
            if (heard.end or heard.cause) is None and engine.starved(container):
                heard.blame("limit", STARVED)  # pid 1 could not tell, as it was killed too
        except (EngineError, PolicyError, gvisor.Unfit, OSError) as error:
            heard.blame("broken", str(error))
        finally:
            if self._prepared is not None:
                self._prepared[0].leave()
        if heard.sealed is not None and heard.sign is None:
            heard.blame("broken", "the supervisor did not ask how it shall be known")
        if self._stops != stops:
            heard.cause = ("interrupted", "it was stopped")
        return hearing.conclude(heard, self.profile, self.tier, started, kind=self.kind)

    def furnishing(self) -> str:
        _, image = self._prepare()
        return image.identity

    def close(self) -> None:
        if self._prepared is not None:
            self._prepared[0].close()

    def stop(self) -> None:
        self._stops += 1
        for attached in tuple(self._running):
            attached.let_go()

    def _prepare(self) -> tuple[Engine, Image]:
        """The engine and the image, looked at once. Raises EngineError."""
        with self._preparing:
            if self._prepared is None:
                engine = Engine()
                if engine.is_podman:
                    self.kind = "podman"
                name, registered = engine.runtime(self.runtime)
                if gvisor.is_gvisor(registered):
                    gvisor.require_fit(name, registered, self.profile)
                    self.kind, self.stopped = "gvisor", True
                image = engine.image(self._image, self._version)
                engine.reap()
                self._prepared = engine, image
            return self._prepared

    def _tasks(self) -> int:
        """How many tasks of the host's a container may have. gVisor's kernel needs several for each of
        its own, and dies where it gets none; the watch counts its own."""
        if self.kind == "gvisor":
            return self.profile.limits.processes * 8 + 1024
        return self.profile.limits.processes + _TASKS

    def _memory(self) -> int:
        """How much of it a container may have."""
        return self.profile.limits.memory + self.profile.limits.scratch + _SLACK

    def _user(self, engine: Engine, job: Job) -> tuple[int, int]:
        """Who the container's processes are. Raises OSError."""
        return (0, 0) if engine.is_rootless else _user(job)

    def _policy(self, *, full: bool) -> Policy:
        """The profile's compiled policy. Raises PolicyError."""
        if full not in self._policies:
            self._policies[full] = compile_policy(
                self.profile,
                full=full,
                stopped=self.stopped,
                signals=self._holds_signals(),
                # gVisor's kernel dies of too many tasks.
                births=self.kind != "gvisor",
            )
        return self._policies[full]

    def _holds_signals(self) -> bool:
        """Whether a worker's reach nobody but what it has started: gVisor's kernel lets a process kill
        its pid 1."""
        return self.kind != "gvisor"

    def _create(
        self,
        engine: Engine,
        image: Image,
        user: tuple[int, int],
        name: str,
        entry: str,
        binds: list[tuple[str, str, bool]],
    ) -> Container:
        """A container whose pid 1 is that module of safe_load.sandbox.room. binds: path on the host,
        path inside, whether it may be written. Raises EngineError."""
        limits = self.profile.limits
        folder = f"{image.site}/safe_load/sandbox"
        memory = self._memory()
        interpreter = [image.python, "-I", "-S", "-B", "-X", "utf8"]
        return engine.create(
            image,
            [*interpreter, "-c", BOOTSTRAP, folder, entry, "0"],
            f"{user[0]}:{user[1]}",
            {LABEL_CONTROLLER: mark(), "safe-load.room": name},
            runtime=self.runtime,
            auto_remove=True,
            network_mode="none",
            ipc_mode="none",
            cgroupns="private",
            read_only=True,
            cap_drop=["ALL"],
            seccomp=container_filter(self.profile),
            pids_limit=self._tasks(),
            mem_limit=memory,
            memswap_limit=memory,
            log_config={"Type": "none"},
            dns=[root.NAMESERVER],
            dns_opt=["timeout:1", "attempts:1"],
            sysctls={"net.ipv4.ip_unprivileged_port_start": "0"},
            tmpfs=_tmpfs(limits, user, engine.is_podman),
            mounts=[
                {"Type": "bind", "Source": source, "Target": target, "ReadOnly": not writable}
                for source, target, writable in binds
            ],
        )

    def _specification(
        self, image: Image, job: Job, policy: Policy, user: tuple[int, int]
    ) -> dict[str, Any]:
        """What a room in a container is told, but its files and descriptors. Raises OSError."""
        return {
            **common(self.profile, policy, job),
            "walls": self.profile.demanded(self.kind),
            "own_user": False,
            "container_user": user[0],
            "routed": False,
            "site": image.site,
            "outer": launch.inodes(),
            "ordered": {
                "tmpfs": {
                    root.SCRATCH: self.profile.limits.scratch,
                    root.HOME: contained.HOME_BYTES,
                },
                "memory": self._memory(),
                "tasks": self._tasks(),
            },
            "folders": folders_of(job),
        }

    def _converse(
        self,
        stream: Stream,
        image: Image,
        job: Job,
        policy: Policy,
        heard: Heard,
        user: tuple[int, int],
    ) -> None:
        """Say what the room shall do, hear it out."""
        spec = {
            **self._specification(image, job, policy, user),
            "signed": True,
            "files": [(bind.target, bind.identity) for bind in job.files],
            "outputs": [_identity(os.fstat(descriptor)) for descriptor in job.outputs],
        }
        if self.kind == "gvisor":
            spec |= gvisor.adapt(spec) | {"outputs": gvisor.brand(job.outputs)}
        stream.say(json.dumps(spec).encode() + b"\n")
        docker_stream.listen(stream, heard, self.profile, self.patience_s)
        self._tell_user(heard, user)

    def _tell_user(self, heard: Heard, user: tuple[int, int]) -> None:
        if heard.walls and user[0] == 0:  # not weaker where it is root of a user namespace
            heard.walls.setdefault("user-namespace", Wall("user-namespace", "weaker", _ROOT))

    def _tell_limits(self, engine: Engine, heard: Heard) -> None:
        """Those that the supervisor did not see to stand: in gVisor it sees none, as they are the
        sentry's."""
        for name, told in (("cgroup-memory", "MemoryLimit"), ("cgroup-tasks", "PidsLimit")):
            if self.kind == "gvisor" and engine.bounds(told):
                heard.walls[name] = Wall(name, "standing", "of gVisor as a whole")
            elif name not in heard.walls:
                detail = "the engine sets no limit that can be seen; the watch holds it"
                heard.walls[name] = Wall(name, "weaker", detail)


class Attached:
    """A container and the line to it, which is its lifeline."""

    def __init__(self, engine: Engine, container: Container) -> None:
        self._engine = engine
        self._container = container
        self._stream: Stream | None = None

    def start(self, witness: Witness | None) -> Stream:
        """Start it. Raises EngineError, gvisor.Unfit."""
        self._stream = docker_stream.Stream(self._engine.attach(self._container))
        with nullcontext() if witness is None else witness.expect(self._container.identity):
            self._engine.start(self._container)
        return self._stream

    def let_go(self) -> None:
        """The supervisor ends the room when it sees that nobody holds the line any more."""
        if self._stream is not None:
            self._stream.hang_up()

    @property
    def is_overdue(self) -> bool:
        """Whether it was let go of, and should have ended by now."""
        return self._stream is not None and self._stream.is_overdue

    def end(self) -> None:
        """Returns when everything inside is dead, and the container gone. Raises EngineError."""
        if self._stream is not None:
            self._stream.close()
        self._engine.remove(self._container)


def _tmpfs(limits: Limits, user: tuple[int, int], podman: bool) -> dict[str, str]:
    """Where to mount one, and how. Podman takes no owner and no number of files, which the watch counts;
    it makes some folders writable that shall not be."""
    inert = "rw,nosuid,nodev,noexec"
    scratch, home = f"{inert},size={limits.scratch}", f"{inert},size={contained.HOME_BYTES}"
    if podman:
        closed = dict.fromkeys(("/run", "/var/tmp"), "ro,nosuid,nodev,noexec,size=4k")  # noqa: S108
        return {root.SCRATCH: f"{scratch},mode=1777", root.HOME: f"{home},mode=0777", **closed}
    return {
        root.SCRATCH: f"{scratch},nr_inodes={limits.scratch_files},mode=1777",
        root.HOME: f"{home},nr_inodes={_HOME_FILES},mode=0700,uid={user[0]},gid={user[1]}",
    }


def _binds(job: Job) -> list[tuple[str, str, bool]]:
    """What a job's own container shows. Raises OSError."""
    binds = [(str(bind.source), bind.target, False) for bind in job.files]
    binds += modules_shown(job.modules)
    return binds + [
        (_path_of(descriptor), f"{contained.OUTPUTS}/{number}", True)
        for number, descriptor in enumerate(job.outputs)
    ]


def modules_shown(modules: tuple[Path, ...]) -> list[tuple[str, str, bool]]:
    """Where a container shows a job's own modules."""
    return [(str(path), f"{runtime.MODULES}/{path.name}", False) for path in modules]


def _user(job: Job) -> tuple[int, int]:
    """Who the container's processes are: the caller; for root nobody, or else the owner of a file
    that nobody may not read. Raises OSError when there is no such user."""
    paths = [*(bind.source for bind in job.files), *job.modules]
    found = {path: path.stat() for path in paths}
    candidates = [(os.geteuid(), os.getegid())]
    if os.geteuid() == 0:
        owners = ((status.st_uid, status.st_gid) for status in found.values())
        candidates = [(_NOBODY, _NOBODY), *dict.fromkeys(owners)]
    for user in candidates:
        if all(_may_read(user, status) for status in found.values()):
            return user
    refused = next(path for path, status in found.items() if not _may_read(candidates[0], status))
    raise PermissionError(
        f"{refused} may not be read by user {candidates[0][0]}, who the container would run as: chmod a+r "
        "it, or use --backend native"
    )


def _may_read(user: tuple[int, int], status: os.stat_result) -> bool:
    """Without any capability."""
    if status.st_uid == user[0]:
        return bool(status.st_mode & 0o400)
    return bool(status.st_mode & (0o040 if status.st_gid == user[1] else 0o004))


@contextmanager
def _writable(job: Job, user: tuple[int, int]) -> Iterator[None]:
    """Let the container's user write to the job's outputs, for as long as it runs."""
    before = {descriptor: os.fstat(descriptor) for descriptor in job.outputs}
    foreign = {
        descriptor: status for descriptor, status in before.items() if status.st_uid != user[0]
    }
    try:
        for descriptor in foreign:
            os.fchown(descriptor, *user)
    except OSError as error:
        raise OSError(f"an output cannot be given to user {user[0]}: {error.strerror}") from error
    try:
        yield
    finally:
        for descriptor, status in foreign.items():
            os.fchown(descriptor, status.st_uid, status.st_gid)


def _path_of(descriptor: int) -> str:
    """The name of an open regular file. Raises OSError when it has none."""
    path = Path(f"/proc/self/fd/{descriptor}").readlink()
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode) or _identity(path.lstat()) != _identity(status):
        raise OSError(f"the output {path} has no name that the engine could be told")
    return str(path)


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino
