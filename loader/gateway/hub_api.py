"""The hub's download API, as huggingface_hub 2.4 and what is built on it ask for it.

Zone: controller. What each client sends was recorded (tests/integration/gateway). A cleared folder is a
revision of its own. Only where a client asks for a commit of the upstream hub by its digits does X-Repo-Commit repeat
it: snapshot_download looks for its files under the commit that it asked for, and finds none under another. The
headers X-Safe-Load-Revision and X-HF-Warning say then what it is.
"""

from __future__ import annotations

import hashlib
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, quote

from safe_load.gateway import address
from safe_load.gateway.answers import HEADERS, Ranged, header, refused, said
from safe_load.gateway.refusal import Refusal
from starlette.responses import Response

if TYPE_CHECKING:
    from safe_load.gateway.address import Address
    from safe_load.gateway.records import File
    from safe_load.gateway.service import Found, Service
    from safe_load.gateway.settings import User
    from starlette.requests import Request

_COMMIT = re.compile("[0-9a-f]{40}")
#: Entries of one page of a folder's listing, as the hub has them.
_PAGE, _PAGE_EXPANDED = 1000, 100
_MAX_BODY = 1 << 20
#: As many as a cleared copy may have files, and a few.
_MOST_FIELDS = 10_100
_HOST = re.compile(r"[A-Za-z0-9.:\[\]_-]{1,255}")
#: The line of git-lfs whose hash the hub lists as a large file's "oid".
_POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {size}\n"
#: Commands that show a 403 whole, and of a GatedRepo only that there is one.
_PLAIN = ("hf/", "huggingface-cli/")


async def answer(request: Request, service: Service, user: User | None) -> Response:
    """The answer to any request that is not for a page of the gateway's own."""
    gated = not request.headers.get("user-agent", "").startswith(_PLAIN)
    raw = request.scope.get("raw_path") or b""
    try:
        found = address.parse(raw)
        if found is None:
            return _else(request, raw, service, user)
        allowed = ("POST",) if found.kind == "paths-info" else ("GET", "HEAD")
        if request.method not in allowed:
            raise Refusal(
                405, "", f"this gateway has no {request.method} of that: it only gives models"
            )
        return await _model(request, found, service, user)
    except Refusal as refusal:
        return refused(refusal, gated=gated)


async def _model(request: Request, asked: Address, service: Service, user: User | None) -> Response:
    if asked.kind == "refs":
        service.admit(user, asked.repo)
        return said(_refs(service.store.refs(asked.repo, service.policy)))
    found = await service.find(user, asked.repo, asked.revision)
    headers = _headers(asked, found)
    match asked.kind:
        case "info":
            return said(_info(found, service.store.files(found.content)), headers)
        case "tree":
            return _tree(request, asked, service, found, headers)
        case "paths-info":
            wanted = _paths(await service.bodies.read(request, _MAX_BODY))
            entries = _entries(service.store.files(found.content), "", recursive=True)
            return said([entry for entry in entries if entry["path"] in wanted], headers)
        case _:
            return await _file(request, asked, service, found, headers)


def _headers(asked: Address, found: Found) -> dict[str, str]:
    """Whose files these are: see the module's docstring."""
    by_commit = _COMMIT.fullmatch(asked.revision) and asked.revision == found.model.commit_id
    headers = {
        "X-Repo-Commit": asked.revision if by_commit else found.revision,
        "X-Safe-Load-Revision": found.revision,
        "X-Safe-Load-Upstream-Commit": found.model.commit_id,
        "X-Safe-Load-Verdict": header(found.model.verdict or "unknown"),
    }
    warning = found.warning
    if by_commit and warning is None:
        warning = f"this is the cleared copy {found.revision[:12]} of {asked.repo} at commit {asked.revision[:12]}"
    if warning:
        headers["X-HF-Warning"] = header(f"safe-load {asked.repo}; safe-load: {warning}")
    return headers


def _info(found: Found, files: list[File]) -> dict[str, Any]:
    model = found.model
    cleared = datetime.fromtimestamp(model.ended or 0, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
    return {
        "id": model.repo,
        "modelId": model.repo,
        "author": model.repo.rpartition("/")[0] or None,
        "sha": found.revision,
        "lastModified": cleared,
        "private": False,
        "gated": False,
        "disabled": False,
        "downloads": 0,
        "likes": 0,
        "tags": ["cleared-by-safe-load"],
        "siblings": [
            {
                "rfilename": file.path,
                "size": file.size,
                "blobId": _pointer(file)[0],
                "lfs": _lfs(file),
            }
            for file in files
        ],
        "safeLoad": {
            "upstreamCommit": model.commit_id,
            "verdict": model.verdict,
            "cleared": cleared,
        },
    }


def _refs(found: list[tuple[str, str]]) -> dict[str, Any]:
    return {
        "branches": [
            {"name": name, "ref": f"refs/heads/{name}", "targetCommit": revision}
            for name, revision in found
            if not name.startswith("refs/")
        ],
        "tags": [],
        "converts": [],
    }


def _tree(
    request: Request, asked: Address, service: Service, found: Found, headers: dict[str, str]
) -> Response:
    query = request.query_params
    recursive = query.get("recursive", "").lower() in ("true", "1")
    entries = _entries(service.store.files(found.content), asked.path, recursive=recursive)
    if not entries:
        raise Refusal(
            404,
            "EntryNotFound",
            f"the cleared copy has no folder {asked.path}",
            commit=found.model.commit_id,
        )
    page = _PAGE_EXPANDED if query.get("expand", "").lower() in ("true", "1") else _PAGE
    cursor = query.get("cursor", "0")
    start = int(cursor) if re.fullmatch(r"\d{1,9}", cursor) else len(entries)
    if start + page < len(entries):
        # By the cleared revision: a name that moves between two pages would mix two listings.
        revision = asked.revision if _COMMIT.fullmatch(asked.revision) else found.revision
        below = f"/{quote(asked.path)}" if asked.path else ""
        kept = f"recursive={recursive}&expand={page == _PAGE_EXPANDED}&cursor={start + page}"
        following = (
            f"{base_of(request, service)}/api/models/{asked.repo}/tree/{revision}{below}?{kept}"
        )
        headers["Link"] = header(f'<{following}>; rel="next"')
    return said(entries[start : start + page], headers)


def _entries(files: list[File], folder: str, *, recursive: bool) -> list[dict[str, Any]]:
    """What lies in a folder, in the order of the paths: files, and folders."""
    start = f"{folder}/" if folder else ""
    found: dict[str, dict[str, Any]] = {}
    for file in files:
        if not file.path.startswith(start):
            continue
        parts = file.path.removeprefix(start).split("/")
        for count in range(1, len(parts) if recursive else min(2, len(parts))):
            path = start + "/".join(parts[:count])
            oid = hashlib.sha1(path.encode(), usedforsecurity=False).hexdigest()
            found.setdefault(path, {"type": "directory", "oid": oid, "size": 0, "path": path})
        if recursive or len(parts) == 1:
            oid, size = _pointer(file)
            lfs = _lfs(file) | {"oid": file.sha256, "pointerSize": size}
            found[file.path] = {
                "type": "file",
                "oid": oid,
                "size": file.size,
                "path": file.path,
                "lfs": lfs,
            }
    return [found[path] for path in sorted(found)]


async def _file(
    request: Request, asked: Address, service: Service, found: Found, headers: dict[str, str]
) -> Response:
    file = service.store.file(found.content, asked.path)
    if file is None:
        told = f"{asked.path} is not in the cleared copy of {asked.repo}"
        answer = refused(Refusal(404, "EntryNotFound", told, commit=found.model.commit_id))
        answer.headers["X-Repo-Commit"] = headers["X-Repo-Commit"]
        return answer
    if request.method == "GET":
        await service.bring(file)
    headers |= {"X-Linked-Etag": f'"{file.sha256}"', "X-Linked-Size": str(file.size)}

    def count(sent: int) -> None:
        service.counters.sent += sent

    return Ranged(
        file,
        lambda: service.content.open(found.content, file),
        headers,
        request.headers,
        count,
        service.sending,
    )


def _lfs(file: File) -> dict[str, Any]:
    return {"sha256": file.sha256, "size": file.size, "pointerSize": _pointer(file)[1]}


def _pointer(file: File) -> tuple[str, int]:
    """Git's name of the small text that stands for a large file, and its size."""
    text = _POINTER.format(sha256=file.sha256, size=file.size).encode()
    return hashlib.sha1(b"blob %d\0" % len(text) + text, usedforsecurity=False).hexdigest(), len(
        text
    )


def _paths(body: bytes) -> set[str]:
    """The paths that a form asks about. Raises Refusal."""
    try:
        given = parse_qs(body.decode("utf-8", "replace"), max_num_fields=_MOST_FIELDS)
    except ValueError:
        raise Refusal(413, "", f"the form has more than {_MOST_FIELDS} fields") from None
    return {path.strip("/") for path in given.get("paths", [])}


def base_of(request: Request, service: Service) -> str:
    """The gateway's own address as this client spells it."""
    if service.settings.url is not None:
        return service.settings.url
    host = request.headers.get("host", "")
    if not _HOST.fullmatch(host):
        raise Refusal(400, "", "the Host header is malformed")
    return f"http://{host}"


def _else(request: Request, raw: bytes, service: Service, user: User | None) -> Response:
    """What is no model: who one is, an organisation, other kinds of repository, and what is not there."""
    parts = address.parts(raw) or []
    if parts[:1] == ["api"] and len(parts) > 1:
        if parts[1:] == ["whoami-v2"]:
            if user is None:
                raise Refusal(401, "", "this token is none of the gateway's")
            return said(
                {"type": "user", "name": user.name, "fullname": user.name, "orgs": [], "auth": {}}
            )
        if parts[1] == "telemetry":
            return Response(None, 200, HEADERS)  # nobody is told
        if (
            parts[1] in ("organizations", "users")
            and parts[3:] == ["overview"]
            and address.is_word(parts[2])
        ):
            if parts[1] == "users":
                raise Refusal(404, "", "this gateway knows organisations only by name")
            return said({"name": parts[2], "fullname": parts[2], "avatarUrl": ""})
    kind = next((part for part in parts[:2] if part in address.OTHERS), None)
    if kind is not None and (parts[0] == kind or parts[0] == "api"):
        if service.settings.others == "redirect":
            query = request.scope.get("query_string", b"")
            path = (raw + (b"?" + query if query else b"")).decode("ascii", "replace")
            return Response(
                None, 307, {**HEADERS, "Location": header(service.settings.upstream + path)}
            )
        raise Refusal(403, "GatedRepo", f"this gateway serves cleared models only, and no {kind}")
    raise Refusal(404, "", "this gateway has no such address")
