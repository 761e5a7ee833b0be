"""Puts a gateway together, and runs it. Zone: controller.

DATA/gateway.sqlite   names, models, exceptions, the audit log; or these are in a database that several gateways share
DATA/content/         cleared folders, by their content; or, with a store for these, DATA/cache/: files of that store
DATA/reports/         the report of each model
DATA/jobs/            what is being fetched and opened
DATA/index/, DATA/names/, DATA/home/   what safe-load and huggingface_hub know of files and names
"""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
import resource
import socket
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, closing, contextmanager
from typing import TYPE_CHECKING, Any

import msgspec
import uvicorn
from safe_load.core import typed
from safe_load.core.atomic_files import remove_tree
from safe_load.core.errors import SandboxError, UsageError
from safe_load.core.escape import visible
from safe_load.core.installed import need
from safe_load.core.options import Options
from safe_load.core.ownership import doubt
from safe_load.fleet import objects
from safe_load.gateway import access, hub_api, metrics
from safe_load.gateway.answers import HEADERS, refused, said
from safe_load.gateway.connections import PATIENCE, Protocol
from safe_load.gateway.content import LocalContent, SharedContent
from safe_load.gateway.judging import policy_of
from safe_load.gateway.page import Pages
from safe_load.gateway.refusal import Refusal
from safe_load.gateway.service import Service
from safe_load.gateway.store import Store
from safe_load.gateway.workers import Processes
from safe_load.rooms import choice
from safe_load.sandbox.backends.interface import BackendError
from safe_load.sources import hub
from starlette.requests import ClientDisconnect, Request
from starlette.responses import RedirectResponse, Response

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from pathlib import Path

    from safe_load.gateway.content import ContentStore
    from safe_load.gateway.settings import Settings, User
    from starlette.types import Message, Receive, Scope, Send

_LOG = logging.getLogger("safe_load.gateway")
#: Seconds that open connections get when the gateway ends.
_LEAVE = 5
_BACKLOG = 2048
_OTHER_FILES = 256
_MOST_HEADERS = 32 << 10
_MOST_WARMED, _MAX_BODY = 1000, 1 << 20
#: Files that are read at a time.
_THREADS = 32
_METHODS = ("GET", "HEAD", "POST")


class App:
    """The ASGI application: one entry for every request."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self._pages = Pages(service, access.Forms(service.store.secret()))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        request = Request(scope, receive)
        begun = False

        async def counted(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                key = (request.method if request.method in _METHODS else "other", message["status"])
                counts = self.service.counters.requests
                counts[key] = counts.get(key, 0) + 1
            await send(message)

        try:
            response = await self._answer(request)
            await response(scope, receive, counted)
        except ClientDisconnect:  # while it sent its request
            return
        except OSError as error:
            # A full or broken disk, a database that is away, or a client that went. What was sent already cannot be taken back.
            _LOG.error(
                "%s %s: %s",
                request.method,
                visible(request.url.path, 200),
                visible(str(error), 200),
            )
            if begun:
                raise
            told = "the gateway cannot read or write its records at present"
            await refused(Refusal(503, "", told, 30))(scope, receive, counted)

    async def _answer(self, request: Request) -> Response:
        path = request.scope["path"]
        if path == "/healthz":
            return self._health()
        if path == "/metrics":
            return Response(metrics.text(self.service), 200, HEADERS, "text/plain; version=0.0.4")
        if path == "/":
            return RedirectResponse("/-/", 303, HEADERS)
        user = access.user_of(request, self.service.settings)
        if path == "/-/api/warm":
            return await self._warm(request, user)
        if path == "/-" or path.startswith("/-/"):
            return await self._pages.answer(request, user)
        return await hub_api.answer(request, self.service, user)

    def _health(self) -> Response:
        stopped = self.service.queue.stopped or self.service.queue.full()
        return said(
            {"status": "stopped" if stopped else "ok", "detail": stopped},
            status=503 if stopped else 200,
        )

    async def _warm(self, request: Request, user: User | None) -> Response:
        """Ask for many models at once: {"names": ["ORG/NAME@REVISION", ...]}. Answers the state of each."""
        # Of another site's page a browser sends no JSON here without asking first (CORS).
        if request.method != "POST" or request.headers.get("content-type") != "application/json":
            return refused(Refusal(405, "", "POST application/json here"))
        try:
            data = await self.service.bodies.read(request, _MAX_BODY)
            names = typed.decode(data, dict[str, list[str]])["names"][:_MOST_WARMED]
        except Refusal as refusal:
            return refused(refusal)
        except (msgspec.DecodeError, KeyError, UnicodeDecodeError):
            return refused(
                Refusal(400, "", 'the body is not {"names": ["ORG/NAME@REVISION", ...]}')
            )
        return said(await asyncio.gather(*(self._state(user, name) for name in names)))

    async def _state(self, user: User | None, name: str) -> dict[str, Any]:
        repo, _, revision = name.removeprefix(hub.SCHEME).partition("@")
        try:
            parsed = hub.named(repo, revision or None)
            found = await self.service.find(user, parsed.repo, parsed.revision)
        except UsageError as error:
            return {"name": name, "status": 400, "sentence": str(error)}
        except Refusal as refusal:
            return {"name": name, "status": refusal.status, "sentence": refusal.sentence}
        told = found.warning or f"cleared, revision {found.revision}"
        # An older commit is served, and the one that was asked for is still being judged.
        return {"name": name, "status": 202 if found.pending else 200, "sentence": told}


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[App]:
    """A gateway whose queue runs, for as long as the block does.

    Raises:
        UsageError: The data folder cannot be used, or another gateway uses it.
        SandboxError: This machine cannot build the rooms.
    """
    options = Options(**settings.load)
    profile = choice.profile_of(options)
    with _owned(settings.data), store_of(settings) as store:
        backend = choice.backend_of(options, profile)
        try:
            policy = policy_of(options, backend, settings.data / "index")
        except BackendError as error:
            raise SandboxError(str(error)) from error
        finally:
            backend.close()
        content = _content(settings)
        content.sweep(store.contents(), store.reports())
        _sweep(settings.data, store)
        judges = Processes(
            settings.workers, options=settings.load, policy=policy, environment=environment(settings),
            index=settings.data / "index", patience=profile.limits.timeout,
            on=None if settings.on is None else (settings.on, settings.store),
        )  # fmt: skip
        service = Service(settings, store, content, judges, policy)
        service.queue.run()
        try:
            yield App(service)
        finally:
            await service.close()


def store_of(settings: Settings) -> Store:
    """The records that the settings name. Raises UsageError."""
    if settings.records is None:
        return Store(settings.data / "gateway.sqlite")
    need("psycopg", "safe-load[postgres]")
    from safe_load.gateway.postgres import SharedStore  # noqa: PLC0415 - for gateways that share their records

    return SharedStore(settings.records)


def _content(settings: Settings) -> ContentStore:
    if settings.content is None:
        return LocalContent(settings.data, settings.kept)
    return SharedContent(settings.data, objects.of(settings.content), settings.kept)


def environment(settings: Settings) -> dict[str, str]:
    """This process's environment, with the upstream hub as the hub, and nothing of the user's own of it."""
    kept = {
        key: value for key, value in os.environ.items() if not key.startswith(("HF_", "HUGGING"))
    }
    return kept | {"HF_ENDPOINT": settings.upstream, "HF_HOME": str(settings.data / "home")}


async def serve(settings: Settings, ready: Callable[[str], None]) -> None:
    """Serve until SIGINT or SIGTERM. ready: called with the address once connections are taken. Raises as `running`."""
    logging.getLogger("uvicorn.error").setLevel(
        logging.ERROR
    )  # a warning for each of too many clients
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(_THREADS))
    os.environ.clear()
    os.environ.update(environment(settings))  # the fetcher's process has this one's
    with closing(_bound(settings)) as listening:
        async with running(settings) as app:
            connections, app.service.sending.most = _connections(settings)
            server = uvicorn.Server(
                uvicorn.Config(
                    app, http=Protocol, ws="none", loop="asyncio", lifespan="off", log_config=None, access_log=False,
                    server_header=False, proxy_headers=False, limit_concurrency=connections,
                    timeout_keep_alive=int(PATIENCE), timeout_graceful_shutdown=_LEAVE,
                    h11_max_incomplete_event_size=_MOST_HEADERS, backlog=_BACKLOG,
                )
            )  # fmt: skip
            host, port = listening.getsockname()[:2]
            ready(f"http://{f'[{host}]' if ':' in host else host}:{port}")
            await server.serve(sockets=[listening])


def _connections(settings: Settings) -> tuple[int, int]:
    """How many connections there may be, and on how many of them a file may be sent at a time: as many as there are
    descriptors for, beside those of everything else."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    room = max(96, hard - _OTHER_FILES)
    connections = min(settings.limits.connections, room * 2 // 3)
    return connections, min(connections, room - connections)


def _bound(settings: Settings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((settings.host, settings.port))
        listening.listen(_BACKLOG)  # from now on nobody who comes is refused
    except OSError as error:
        listening.close()
        raise UsageError(
            f"cannot listen on {settings.host} port {settings.port}: {error.strerror}"
        ) from None
    return listening


@contextmanager
def _owned(data: Path) -> Iterator[None]:
    """The data folder, this process's alone."""
    try:
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
        if (reason := doubt(data)) is not None:
            raise UsageError(f"the data folder {data} is refused, because {reason}")
        descriptor = os.open(data / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise UsageError(f"the data folder {data} cannot be used: {error.strerror}") from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise UsageError(f"another gateway uses the data folder {data}") from None
    finally:
        os.close(descriptor)


def _sweep(data: Path, store: Store) -> None:
    """Remove what a gateway that was killed left of its jobs: nothing of those that are not done."""
    for folder in (data / "jobs").glob("*"):
        model = store.by_id(int(folder.name)) if folder.name.isdigit() else None
        if model is None or model.state not in ("queued", "running"):
            remove_tree(folder)
            continue
        for left in [
            *folder.glob("cleared-*"),
            *folder.glob(".cleared-*"),
        ]:  # of an attempt that ended; downloads stay
            remove_tree(left)
