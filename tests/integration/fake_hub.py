"""A hub on loopback: as much of the API as huggingface_hub's own client asks for, with every fault.

A repository has commits and names for them. Large files are kept by LFS and come from a second
server, as from the hub's storage: another port is another origin. `before` may answer any request
in the hub's stead.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import parse_qs, quote, unquote, urlsplit

if TYPE_CHECKING:
    from pathlib import Path

LFS = (".safetensors", ".bin", ".pt", ".onnx", ".h5", ".msgpack")


@dataclass
class Request:
    """method, path (without the query), query, headers (lower case)."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]


@dataclass
class Answer:
    """cut: send only so many bytes of the body and hang up."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    cut: int | None = None


Before = Callable[[Request], Answer | None]


class _Server:
    """One origin: what it was asked, and what answers."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.before: Before = lambda _: None
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _serve(self) -> None:
                parts = urlsplit(self.path)
                query = {key: values[0] for key, values in parse_qs(parts.query).items()}
                headers = {key.lower(): value for key, value in self.headers.items()}
                request = Request(self.command, parts.path, query, headers)
                outer.requests.append(request)
                answer = outer.before(request) or outer.answer(request)
                body = answer.body
                self.send_response(answer.status)
                for key, value in answer.headers.items():
                    self.send_header(key, value)
                if "Content-Length" not in answer.headers:
                    self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if self.command == "HEAD":
                    return
                if answer.cut is not None:
                    body, self.close_connection = body[: answer.cut], True
                with suppress(BrokenPipeError, ConnectionResetError):
                    self.wfile.write(body)

            do_GET = do_HEAD = do_POST = _serve  # noqa: N815

            def log_message(self, *_: object) -> None:
                return

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_: object) -> None:
                return  # a client that hung up

        self._http = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}"
        self._thread = Thread(target=self._http.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def answer(self, request: Request) -> Answer:
        raise NotImplementedError

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    def asked(self, part: str, method: str | None = None) -> list[Request]:
        """The requests whose path holds `part`."""
        return [
            request
            for request in self.requests
            if part in request.path and method in (None, request.method)
        ]


class Storage(_Server):
    """Where the hub's large files are: by their SHA-256, in ranges too."""

    def __init__(self) -> None:
        self.blobs: dict[str, bytes] = {}
        super().__init__()

    def answer(self, request: Request) -> Answer:
        body = self.blobs.get(request.path.removeprefix("/"))
        if body is None:
            return Answer(404)
        wanted = request.headers.get("range", "")
        if not wanted.startswith("bytes="):
            return Answer(200, body, {"ETag": f'"{request.path[1:]}"'})
        start = int(wanted.removeprefix("bytes=").partition("-")[0])
        span = f"bytes {start}-{len(body) - 1}/{len(body)}"
        return Answer(206, body[start:], {"Content-Range": span})


class FakeHub(_Server):
    """Use it as a context manager. url: for HF_ENDPOINT; storage: where large files come from."""

    def __init__(self, page: int = 1000) -> None:
        self.storage = Storage()
        self.page = page
        #: repository -> name -> commit, and repository -> commit -> path -> content.
        self.names: dict[str, dict[str, str]] = {}
        self.commits: dict[str, dict[str, dict[str, bytes]]] = {}
        #: What the page of a repository says besides, and what is said of an organisation.
        self.about: dict[str, dict[str, Any]] = {}
        self.organisations: dict[str, dict[str, Any]] = {}
        self.moved: dict[tuple[str, str], list[str]] = {}
        #: What is said of the files, after whoever tampers with it.
        #: Whether large files are said to be kept by Xet too.
        self.xet = False
        self.listing: Callable[[list[dict[str, Any]]], list[dict[str, Any]]] = lambda files: files
        super().__init__()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
        self.storage.close()

    def add(self, repo: str, files: dict[str, bytes] | Path, name: str = "main") -> str:
        """One more commit of the repository, which `name` stands for from now on."""
        if not isinstance(files, dict):
            files = {
                str(path.relative_to(files)): path.read_bytes()
                for path in files.rglob("*")
                if path.is_file()
            }
        commits = self.commits.setdefault(repo, {})
        told = json.dumps([repo, len(commits), sorted(files)])
        commit = hashlib.sha1(told.encode()).hexdigest()
        commits[commit] = files
        self.names.setdefault(repo, {})[name] = commit
        self.moved.setdefault((repo, name), []).append(commit)
        for path, content in files.items():
            if path.endswith(LFS):
                self.storage.blobs[hashlib.sha256(content).hexdigest()] = content
        return commit

    def answer(self, request: Request) -> Answer:
        parts = [unquote(part) for part in request.path.split("/")[1:]]
        api = parts[:2] == ["api", "models"]
        repo, rest = "/".join(parts[2:4] if api else parts[:2]), parts[4:] if api else parts[2:]
        if parts[:2] == ["api", "organizations"]:
            told = self.organisations.get(parts[2])
            return Answer(404) if told is None else _json({"name": parts[2]} | told)
        if repo not in self.commits:
            return Answer(404, headers={"X-Error-Code": "RepoNotFound"})
        if rest == ["refs"]:
            return _json(self._refs(repo))
        kind, revision, *path = rest
        commit = self.names[repo].get(revision or "main", revision)
        files = self.commits[repo].get(commit)
        if files is None:
            return Answer(404, headers={"X-Error-Code": "RevisionNotFound"})
        if kind == "revision":
            told = {"id": repo, "modelId": repo, "sha": commit, "siblings": [], "tags": []}
            return _json(told | self.about.get(repo, {}))
        if kind == "commits":
            return _json([_commit(each) for each in self.history(repo, revision)])
        if kind == "tree":
            return self._tree(request, files)
        return self._file("/".join(path), files, commit)

    def history(self, repo: str, name: str) -> list[str]:
        """The commits that `name` has stood for."""
        return self.moved[repo, name]

    def _refs(self, repo: str) -> dict[str, Any]:
        refs: dict[str, Any] = {"branches": [], "tags": [], "converts": []}
        for name, commit in self.names[repo].items():
            if not name.startswith("refs/"):
                full = f"refs/heads/{name}"
                refs["branches"].append({"name": name, "ref": full, "targetCommit": commit})
        return refs

    def _tree(self, request: Request, files: dict[str, bytes]) -> Answer:
        entries = self.listing([_entry(path, content) for path, content in files.items()])
        start = int(request.query.get("cursor", 0))
        headers = {}
        if start + self.page < len(entries):
            following = f"{self.url}{quote(request.path)}?recursive=True&cursor={start + self.page}"
            headers["Link"] = f'<{following}>; rel="next"'
        return _json(entries[start : start + self.page], headers)

    def _file(self, path: str, files: dict[str, bytes], commit: str) -> Answer:
        headers = {"X-Repo-Commit": commit}
        if path not in files:
            return Answer(404, headers=headers | {"X-Error-Code": "EntryNotFound"})
        content = files[path]
        if not path.endswith(LFS):
            return Answer(200, content, headers | {"ETag": f'"{_blob(content)}"'})
        sha256 = hashlib.sha256(content).hexdigest()
        if self.xet:
            headers["X-Xet-Hash"] = sha256
            headers["X-Xet-Refresh-Route"] = f"{self.storage.url}/xet"
        return Answer(
            302,
            headers=headers
            | {
                "Location": f"{self.storage.url}/{sha256}",
                "X-Linked-Etag": f'"{sha256}"',
                "X-Linked-Size": str(len(content)),
            },
        )


def _entry(path: str, content: bytes) -> dict[str, Any]:
    entry = {"type": "file", "path": path, "size": len(content), "oid": _blob(content)}
    if path.endswith(LFS):
        sha256 = hashlib.sha256(content).hexdigest()
        entry["lfs"] = {"oid": sha256, "size": len(content), "pointerSize": 130}
    return entry


def _commit(commit: str) -> dict[str, Any]:
    told = {"title": "", "message": "", "date": "2026-01-01T00:00:00.000Z", "authors": []}
    return {"id": commit, **told}


def _blob(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def _json(value: Any, headers: dict[str, str] | None = None) -> Answer:
    return Answer(
        200, json.dumps(value).encode(), {"Content-Type": "application/json"} | (headers or {})
    )
