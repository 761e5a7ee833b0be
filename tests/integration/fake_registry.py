"""Registries on loopback, for tests: PyPI's Simple API, npm's package documents, images, and git's refs."""

from __future__ import annotations

import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, Self
from urllib.parse import unquote


class FakeRegistry:
    """Use it as a context manager. url: the address; pypi() and npm() add a package; raw: path -> (status, body, headers)."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, str]] = []
        self.raw: dict[str, tuple[int, bytes, dict[str, str]]] = {}
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                path = unquote(self.path)
                outer.requests.append((path, self.headers.get("Accept", "")))
                status, body, headers = outer.raw.get(path, (404, b"{}", {}))
                self.send_response(status)
                for key, value in headers.items():
                    self.send_header(key, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body if self.command == "GET" else b"")

            def do_HEAD(self) -> None:
                if self.headers.get("Authorization") == "Bearer let-me-in":
                    self.path = f"{self.path}#in"
                self.do_GET()

            def log_message(self, *_: object) -> None:
                return

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}"
        Thread(target=self._http.serve_forever, args=(0.02,), daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.shutdown()
        self._http.server_close()

    def image(self, name: str, tag: str, digest: str) -> str:
        """An image that is told to whoever fetched a token, as the public registries do. Returns its name."""
        realm = f'Bearer realm="{self.url}/token",service="images"'
        path = f"/v2/{name}/manifests/{tag}"
        self.raw[path] = (401, b"", {"WWW-Authenticate": realm})
        self.raw[f"{path}#in"] = (200, b"", {"Docker-Content-Digest": digest})
        asked = f"/token?service=images&scope=repository:{name}:pull"
        self.raw[asked] = (200, b'{"token": "let-me-in"}', {})
        return f"{self.url.removeprefix('http://')}/{name}"

    def git(self, name: str, refs: dict[str, str]) -> str:
        """A repository whose branches git lists. Returns its address."""
        listed = "".join(f"{commit}\trefs/heads/{branch}\n" for branch, commit in refs.items())
        self.raw[f"/{name}/info/refs?service=git-upload-pack"] = (200, listed.encode(), {})
        self.raw[f"/{name}/HEAD"] = (200, f"ref: refs/heads/{next(iter(refs))}\n".encode(), {})
        return f"{self.url}/{name}"

    def pypi(
        self,
        name: str,
        versions: list[str],
        *,
        uploaded: str = "2020-01-02T03:04:05Z",
        attested: bool = False,
        status: str | None = "active",
    ) -> None:
        files = [
            {
                "filename": f"{name}-{version}-py3-none-any.whl",
                "url": "https://files.example/x",
                "hashes": {},
                "upload-time": uploaded,
                "provenance": "https://p.example" if attested else None,
            }
            for version in versions
        ]
        body: dict[str, Any] = {
            "meta": {"api-version": "1.4"},
            "name": name,
            "files": files,
            "versions": versions,
        }
        if status is not None:
            body["project-status"] = {"status": status}
        kind = "application/vnd.pypi.simple.v1+json"
        self.raw[f"/{name}/"] = (200, json.dumps(body).encode(), {"Content-Type": kind})

    def npm(
        self,
        name: str,
        versions: list[str],
        *,
        created: str = "2020-01-02T03:04:05.000Z",
        attested: bool = False,
    ) -> None:
        dist = {"attestations": {"url": "https://a.example"}} if attested else {}
        body = {
            "name": name,
            "dist-tags": {"latest": versions[-1]},
            "time": {"created": created},
            "versions": {
                version: {"name": name, "version": version, "dist": dist} for version in versions
            },
        }
        self.raw[f"/{name}"] = (
            200,
            json.dumps(body).encode(),
            {"Content-Type": "application/json"},
        )
