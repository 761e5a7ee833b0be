"""The docker backend: a room is a container, built by an engine, used for one job.

Zone: controller. The engine builds the outer walls; the supervisor of the image is pid 1, looks at
each of them, and goes on as in any other room (safe_load.sandbox.room.launch.container). Everything that
comes back comes over the attached streams.
"""

from __future__ import annotations

import os
import threading
import time
from contextlib import ExitStack, nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING

from safe_load.sandbox import interpreter, protocol
from safe_load.sandbox.backends import orders, room_stream
from safe_load.sandbox.backends.docker import given
from safe_load.sandbox.backends.docker import stream as docker_stream
from safe_load.sandbox.backends.docker.engine import (
    LABEL_CONTROLLER,
    Container,
    Engine,
    EngineError,
    Image,
    mark,
)
from safe_load.sandbox.backends.gvisor import trace
from safe_load.sandbox.backends.interface import Backend, Job, RoomResult, Wall
from safe_load.sandbox.backends.room_stream import Transcript
from safe_load.sandbox.containment import Containment, Policy
from safe_load.sandbox.kernel import landlock
from safe_load.sandbox.policy import PolicyError, compile_policy, container_filter
from safe_load.sandbox.protocol import ContainerOrder, File
from safe_load.sandbox.room import root
from safe_load.sandbox.room.launch import container, native

if TYPE_CHECKING:
    from safe_load.profiles import Profile
    from safe_load.sandbox.backends.docker.stream import Stream
    from safe_load.sandbox.backends.gvisor.trace import TraceSession

_ROOT = "the container's user is root, without any capability: only root may read the model's files"
#: Memory of the supervisor and of the kernel on its behalf, above what the watch grants the job.
_SLACK = 1 << 30
_TASKS = 32
STARVED = "memory limit: the kernel killed the container, which was out of memory"


class DockerBackend(Backend):
    """A container for each job. runtime: of the engine, e.g. "runsc"; the engine's own default when
    None. patience_s: as of NativeBackend."""

    name = "docker"
    tier = "A"
    kind = "docker"
    uses_host_packages = False
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
        transcript = Transcript(trace=job.trace)
        stops = self._stops
        witness = None
        try:
            engine, image = self._prepare()
            policy = self._policy(full=job.trace is not None)
            user = self._user(engine, job)
            # The root of a rootless engine's containers is the caller already.
            lent = nullcontext() if engine.is_rootless else given.writable(job, user)
            with lent, ExitStack() as stack:
                container = self._create(
                    engine, image, user, job.name, "launch.container", given.binds(job)
                )
                attached = Attached(engine, container)
                stack.callback(attached.end)
                self._running.add(attached)
                stack.callback(self._running.discard, attached)
                if self.kind == "gvisor":
                    witness = trace.TraceSession(self.profile.limits.events)
                    transcript.shift = None  # gVisor's clock starts with the container
                stream = attached.start(witness)
                if self._stops == stops:
                    self._converse(stream, image, job, policy, transcript, user)
                if transcript.walls:
                    self._tell_limits(engine, transcript)
            if witness is not None and transcript.walls:
                witness.end()
                witness.merge_into(transcript, self.profile, job.name)
                transcript.walls["kernel"] = Wall(
                    "kernel", "standing", "gVisor's, between the room and the host's"
                )
            if (transcript.end or transcript.cause) is None and engine.starved(container):
                transcript.blame("limit", STARVED)  # pid 1 could not tell, as it was killed too
        except (EngineError, PolicyError, trace.Unfit, OSError) as error:
            transcript.blame("broken", str(error))
        finally:
            if self._prepared is not None:
                self._prepared[0].leave()
        if transcript.sealed is not None and transcript.sign is None:
            transcript.blame("broken", "the supervisor did not ask for its signing word")
        if self._stops != stops:
            transcript.cause = ("interrupted", "the job was stopped")
        return room_stream.conclude(transcript, self.profile, self.tier, started, kind=self.kind)

    def packages_id(self) -> str:
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
                if trace.is_gvisor(registered):
                    trace.require_fit(name, registered, self.profile)
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
        return (0, 0) if engine.is_rootless else given.user_for(job)

    def _policy(self, *, full: bool) -> Policy:
        """The profile's compiled policy. Raises PolicyError."""
        if full not in self._policies:
            self._policies[full] = compile_policy(self.profile, self._containment(), full=full)
        return self._policies[full]

    def _containment(self) -> Containment:
        """What holds in its rooms."""
        gvisor = self.kind == "gvisor"
        return Containment(
            kernel="gvisor" if gvisor else "linux",
            signals=self._holds_signals(),
            # A control group refuses a birth only after the kernel has copied the parent, so a payload that
            # keeps on trying takes all processors, the supervisor's too. gVisor's kernel dies of it.
            tasks=False,
            own_user=False,
            routes=False,
            locks=gvisor,  # its kernel has locks of its own
            notifies=not self.stopped,
        )

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
        python = [image.python, "-I", "-S", "-B", "-X", "utf8"]
        return engine.create(
            image,
            [*python, "-c", interpreter.BOOTSTRAP, folder, entry, "0"],
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
            tmpfs=given.tmpfs(limits, user, engine.is_podman),
            mounts=[
                {"Type": "bind", "Source": source, "Target": target, "ReadOnly": not writable}
                for source, target, writable in binds
            ],
        )

    def _order(
        self, image: Image, job: Job, policy: Policy, user: tuple[int, int]
    ) -> ContainerOrder:
        """What a room in a container is told, but its files and outputs. Raises OSError."""
        return ContainerOrder(
            **orders.common(self.profile, policy, self._containment(), job),
            walls=self.profile.demanded(self.kind),
            landlock=landlock.NEWEST,
            files=(),
            user=user[0],
            site=image.site,
            namespaces=native.inodes(),
            tmpfs={
                root.SCRATCH: self.profile.limits.scratch,
                root.HOME: container.HOME_BYTES,
            },
            memory=self._memory(),
            tasks=self._tasks(),
            folders=orders.folders_of(job),
        )

    def _converse(
        self,
        stream: Stream,
        image: Image,
        job: Job,
        policy: Policy,
        transcript: Transcript,
        user: tuple[int, int],
    ) -> None:
        """Say what the room shall do, hear it out."""
        order = replace(
            self._order(image, job, policy, user),
            signed=True,
            files=tuple(File("", bind.target, bind.identity) for bind in job.files),
            outputs=tuple(given.identity(os.fstat(descriptor)) for descriptor in job.outputs),
        )
        if self.kind == "gvisor":
            order = trace.adapt(order, job.outputs)
        stream.say(protocol.write_order(order) + b"\n")
        docker_stream.listen(stream, transcript, self.profile, self.patience_s)
        self._tell_user(transcript, user)

    def _tell_user(self, transcript: Transcript, user: tuple[int, int]) -> None:
        if transcript.walls and user[0] == 0:  # not weaker where it is root of a user namespace
            transcript.walls.setdefault("user-namespace", Wall("user-namespace", "weaker", _ROOT))

    def _tell_limits(self, engine: Engine, transcript: Transcript) -> None:
        """Those that the supervisor did not see to stand: in gVisor it sees none, as they are the
        sentry's."""
        for name, told in (("cgroup-memory", "MemoryLimit"), ("cgroup-tasks", "PidsLimit")):
            if self.kind == "gvisor" and engine.bounds(told):
                transcript.walls[name] = Wall(name, "standing", "of gVisor as a whole")
            elif name not in transcript.walls:
                detail = "no limit of the engine can be seen here; the watch holds the limit"
                transcript.walls[name] = Wall(name, "weaker", detail)


class Attached:
    """A container and the line to it, which is its lifeline."""

    def __init__(self, engine: Engine, container: Container) -> None:
        self._engine = engine
        self._container = container
        self._stream: Stream | None = None

    def start(self, witness: TraceSession | None) -> Stream:
        """Start it. Raises EngineError, trace.Unfit."""
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
