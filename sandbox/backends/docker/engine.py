"""The container engine: found, asked what it can do, and told in one sentence what is wrong with it.

Zone: controller. The only module that imports the docker SDK, and only when it is used.
"""

from __future__ import annotations

import functools
import os
import re
import socket
import tempfile
import threading
import time
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safe_load.sandbox import code
from safe_load.sandbox.backends.interface import BackendError
from safe_load.sandbox.kernel import memory

if TYPE_CHECKING:
    from collections.abc import Iterator

    from docker import APIClient

#: Of the engine's API: 20.10 is the first with private cgroup namespaces.
_OLDEST = (1, 41)
_TIMEOUT_S = 60
_UNIX = "http+unix://"
LABEL_VERSION, LABEL_CODE = "safe-load.version", "safe-load.code"
LABEL_PYTHON, LABEL_SITE = "safe-load.python", "safe-load.site"
LABEL_CONTROLLER = "safe-load.controller"
#: A container that does not run and is of no controller that could be asked belongs to nobody any
#: more: between its creation and its start lies less than a second.
_ABANDONED_S = 600
#: Removal takes an engine some 0.1 s; one that takes longer is asked again, with force.
_REMOVAL_S = 10
#: How long after a container's end its engine may still hear why.
_HEARSAY_S = 1.0


class EngineError(BackendError):
    """The engine is not there, too old, or will not do what is asked. One sentence."""


@dataclass(frozen=True)
class Image:
    """python: the interpreter inside; site: the folder inside of all packages, ours included."""

    name: str
    identity: str
    python: str
    site: str


@dataclass(frozen=True)
class Container:
    """One container of ours. oom_kills: how often this machine's kernel had killed for memory when the
    container was made."""

    identity: str
    oom_kills: int = 0


class Engine:
    """A connection to the engine that DOCKER_HOST, or else the default socket, leads to. Every
    method raises EngineError."""

    def __init__(self) -> None:
        try:
            import docker  # noqa: PLC0415 - an extra, and slow to import
        except ImportError as error:
            raise EngineError(
                "the docker backend needs the package docker: pip install 'safe-load[docker]'"
            ) from error
        self._docker = docker
        self._local = threading.local()
        self._clients: set[APIClient] = set()
        # With a version of its own a client asks nothing while it is made, so that it can be closed
        # whatever the engine answers.
        oldest = ".".join(map(str, _OLDEST))
        told: Any = None
        with (
            suppress(docker.errors.NotFound, KeyError),  # KeyError: of an answer without a message
            self._explained("the engine is not reachable"),
            closing(self._client(oldest)) as client,
        ):
            told = client.version(api_version=False)
        found = told.get("ApiVersion") if isinstance(told, dict) else None
        if not isinstance(found, str) or not re.fullmatch(r"\d{1,9}\.\d{1,9}", found):
            raise EngineError(f"what answers at {_where()} is not a container engine")
        self._version = found
        parts = told.get("Components") or ()
        self.is_podman = any(part.get("Name") == "Podman Engine" for part in parts)
        if tuple(map(int, found.split("."))) < _OLDEST:
            raise EngineError(
                f"the container engine speaks version {found} of its API, and safe-load needs {oldest} "
                "(Docker 20.10) or newer: update the engine"
            )

    @property
    def api(self) -> APIClient:
        """The client of this thread: they are not made to be shared."""
        client: APIClient | None = getattr(self._local, "client", None)
        if client is None:
            client = self._local.client = self._client(self._version)
            self._clients.add(client)
        return client

    def _client(self, version: str) -> APIClient:
        """Raises OSError where nobody listens at the engine's socket: the docker SDK finds that out
        too, but leaves its own socket open then."""
        where = self._docker.utils.kwargs_from_env()
        url: str = self._docker.utils.parse_host(where.get("base_url"))
        if url.startswith(_UNIX):
            with socket.socket(socket.AF_UNIX) as probe:
                probe.settimeout(_TIMEOUT_S)
                probe.connect(url.removeprefix(_UNIX))
        return self._docker.APIClient(**where, timeout=_TIMEOUT_S, version=version)

    def leave(self) -> None:
        """Let go of this thread's connection: threads come and go, and take theirs with them."""
        client: APIClient | None = getattr(self._local, "client", None)
        if client is not None:
            del self._local.client
            self._clients.discard(client)
            client.close()

    def close(self) -> None:
        """Let go of every connection; new ones are made when they are needed."""
        self._local = threading.local()
        while self._clients:
            self._clients.pop().close()

    def image(self, name: str, version: str) -> Image:
        """The image of that name, which must hold the same safe-load as this one."""
        try:
            with self._explained(f"the image {name} cannot be inspected"):
                found = self.api.inspect_image(name)
        except self._docker.errors.ImageNotFound as error:
            raise EngineError(
                f"the engine has no image {name}: build it with `make image` in a checkout of safe-load, "
                f"or get it with `docker pull {name}`"
            ) from error
        labels = found["Config"].get("Labels") or {}
        if LABEL_VERSION not in labels or not {LABEL_PYTHON, LABEL_SITE} <= labels.keys():
            raise EngineError(
                f"the image {name} is not an image of safe-load: the labels of safe-load are missing"
            )
        theirs = labels[LABEL_VERSION]
        if theirs != version or labels.get(LABEL_CODE) != code.checksum():
            what = (
                f"safe-load {theirs}, and this is safe-load {version}"
                if theirs != version
                else f"other code than this safe-load {version}"
            )
            raise EngineError(
                f"the image {name} holds {what}: build it again with `make image`, or get it with "
                f"`docker pull {name}`"
            )
        return Image(name, found["Id"], labels[LABEL_PYTHON], labels[LABEL_SITE])

    @functools.cached_property
    def _info(self) -> dict[str, Any]:
        with self._explained("the engine does not report its capabilities"):
            told: dict[str, Any] = self.api.info()
        return told

    @property
    def is_rootless(self) -> bool:
        """Whether it is an ordinary user's: root of its containers is that user outside."""
        told = self._info.get("SecurityOptions") or ()
        return self._info.get("Rootless") is True or any("name=rootless" in each for each in told)

    def runtimes(self) -> tuple[str, dict[str, dict[str, Any]]]:
        """The name of the engine's default runtime, and how each that it knows is registered."""
        return str(self._info.get("DefaultRuntime") or "runc"), self._info.get("Runtimes") or {}

    def runtime(self, name: str | None) -> tuple[str, dict[str, Any]]:
        """The runtime of that name, or the engine's default one: its name, and how it is registered."""
        default, known = self.runtimes()
        name = name or default
        if name not in known:
            raise EngineError(
                f"the engine knows no runtime {name!r}, only {', '.join(sorted(known))}: register it in "
                "/etc/docker/daemon.json"
            )
        return name, known[name]

    def bounds(self, what: str) -> bool:
        """Whether it says that it keeps a limit: "MemoryLimit", "PidsLimit"."""
        return self._info.get(what) is True

    def create(
        self,
        image: Image,
        command: list[str],
        user: str,
        labels: dict[str, str],
        *,
        seccomp: str,
        **host: Any,
    ) -> Container:
        """A container that does not run yet. host: as docker.types.HostConfig."""
        with self._explained("the engine refuses the container"), self._handed(seccomp) as handed:
            security = ["no-new-privileges", f"seccomp={handed}"]
            made = self.api.create_container(
                image.identity,
                entrypoint=command[:1],
                command=command[1:],
                user=user,
                labels=labels,
                working_dir="/",
                stdin_open=True,
                host_config=self.api.create_host_config(security_opt=security, **host),
                healthcheck={"test": ["NONE"]},
                use_config_proxy=False,  # ~/.docker/config.json may hold a proxy's password
            )
        return Container(made["Id"], memory.oom_kills())

    @contextmanager
    def _handed(self, seccomp: str) -> Iterator[str]:
        """A seccomp profile as the engine takes it: Docker the text, Podman the path of a file."""
        if not self.is_podman:
            yield seccomp
            return
        with tempfile.NamedTemporaryFile("w", suffix=".json", prefix="safe-load-") as file:
            file.write(seccomp)
            file.flush()
            yield file.name

    def attach(self, container: Container) -> Any:
        """The socket that carries standard input, output and error (docker attach)."""
        with self._explained("the engine does not attach to the container"):
            parameters = {"stdin": 1, "stdout": 1, "stderr": 1, "stream": 1}
            return self.api.attach_socket(container.identity, parameters)

    def start(self, container: Container) -> None:
        """Start it."""
        with self._explained("the engine does not start the container"):
            self.api.start(container.identity)

    def pid(self, container: Container) -> int:
        """The number that its first process has on the engine's machine."""
        with self._explained("the engine does not report the container's state"):
            return int(self.api.inspect_container(container.identity)["State"]["Pid"])

    def remove(self, container: Container, *, force: bool = True) -> None:
        """Returns when it is gone, with everything in it. force: also if it runs."""
        errors = self._docker.errors
        with self._explained("a container cannot be removed"), suppress(errors.NotFound):
            if force:
                with suppress(errors.APIError):  # it is being removed already
                    self.api.remove_container(container.identity, force=True, v=True)
            self.api.wait(container.identity, timeout=_REMOVAL_S, condition="removed")

    def starved(self, container: Container) -> bool:
        """Whether the kernel killed the container, as it does when the memory of a container runs out. To
        be asked when it has ended; it may be removed, as what the engine told is kept for a while.

        The engine's own word for it is the event "oom". containerd drops that one when the control
        group is gone before it has read it (its pkg/oom/v1). So a SIGKILL that nobody asked the engine
        for counts too where the kernel has killed for memory since the container was made: nothing
        inside can send one to the first process."""
        with self._explained("the engine does not report its events"):
            now = datetime.fromisoformat(self.api.info()["SystemTime"]).timestamp()  # its clock
            filters = {
                "type": "container",
                "event": ["oom", "kill", "die"],
                "container": container.identity,
            }
            was_asked, was_killed = False, False
            with closing(
                self.api.events(since=0, until=now + _HEARSAY_S, filters=filters, decode=True)
            ) as transcript:
                for event in transcript:
                    if event["Action"] == "oom":
                        return True
                    was_asked = was_asked or event["Action"] == "kill"
                    was_killed = was_killed or event["Actor"]["Attributes"].get("exitCode") == "137"
            return was_killed and not was_asked and memory.oom_kills() > container.oom_kills

    def reap(self) -> None:
        """Remove what controllers left that are gone: created, running or ended."""
        with self._explained("the engine does not list its containers"):
            found = self.api.containers(all=True, filters={"label": LABEL_CONTROLLER})
        for each in found:
            label = each["Labels"].get(LABEL_CONTROLLER, "")
            aged = each["State"] != "running" and time.time() - each["Created"] > _ABANDONED_S
            if is_gone(label) or (is_of_another_boot(label) and aged):
                self.remove(Container(each["Id"]))

    @contextmanager
    def _explained(self, what: str) -> Iterator[None]:
        from requests.exceptions import RequestException  # noqa: PLC0415 - comes with docker

        errors = self._docker.errors
        try:
            yield
        except (errors.ImageNotFound, errors.NotFound):
            raise
        except errors.APIError as error:
            raise EngineError(f"{what}: {_sentence(str(error.explanation))}") from error
        except (errors.DockerException, RequestException, OSError) as error:
            raise EngineError(_unreachable(error)) from error


def _unreachable(error: Exception) -> str:
    where, said = _where(), str(error)
    if isinstance(error, OSError):
        said = f"{type(error).__name__}: {said}"
    if "Permission denied" in said or "PermissionError" in said:
        return (
            f"the container engine at {where} refused the connection (permission denied): add the user to the group docker "
            "(`sudo usermod -aG docker $USER`, then log in again; members of that group can become root)"
        )
    if "FileNotFoundError" in said or "ConnectionRefused" in said or "Connection refused" in said:
        return (
            f"no container engine answers at {where}: start Docker, or name another in DOCKER_HOST"
        )
    return f"the container engine at {where} is not reachable: {_sentence(said)}"


def _where() -> str:
    return os.environ.get("DOCKER_HOST", "/var/run/docker.sock")


def _sentence(text: str) -> str:
    """What an engine said, as the end of a sentence of ours."""
    return re.sub(r"\s+", " ", text).strip()[:500].rstrip(".")


@functools.cache
def mark() -> str:
    """What a container of this process is labelled with. Where /proc does not tell when it started, the
    mark says nothing, and nobody takes this process for gone."""
    own = _lifetime(os.getpid())
    return f"{os.getpid()}:{own and own[0]}:{_pid_namespace()}:{_boot()}"


def is_gone(label: str) -> bool:
    """Whether the controller with this mark has ended; False where that cannot be told."""
    if (mark := _read(label)) is None or is_of_another_boot(label):
        return False
    pid, started, namespace, _ = mark
    if namespace != _pid_namespace():
        return False
    if (found := _lifetime(int(pid))) is None:
        return not _exists(int(pid))
    return found != (int(started), False)


def is_of_another_boot(label: str) -> bool:
    """Whether the controller with this mark was started before this machine was, or runs on another
    one that shares the engine: which of both cannot be told."""
    return (mark := _read(label)) is not None and mark[3] != _boot()


def _read(label: str) -> tuple[str, ...] | None:
    match = re.fullmatch(r"(\d{1,9}):(\d{1,20}):([^:]{0,64}):([^:]{0,64})", label)
    return None if match is None else match.groups()


def _exists(pid: int) -> bool:
    """Whether there is such a process, also where /proc hides those of others (hidepid in proc(5))."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _lifetime(pid: int) -> tuple[int, bool] | None:
    """When a process started, in ticks since boot, and whether it has ended and waits for its parent to
    notice (proc_pid_stat(5)); None when there is none."""
    try:
        raw = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return None
    fields = raw.rpartition(b")")[2].split()
    state, threads, started = fields[0], int(fields[17]), int(fields[19])
    # While other threads live, a process whose first thread has ended looks like a zombie too.
    return started, state in (b"Z", b"X") and threads <= 1


def _pid_namespace() -> str:
    return re.sub(r"\D", "", str(Path("/proc/self/ns/pid").readlink()))


def _boot() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
