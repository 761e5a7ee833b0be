"""What a package's own registry says of it: whether it is there, since when, quarantined, attested.

Zone: controller. The address is what pip and npm are set to, or a flag's. PyPI's kind of registry is asked by the Simple API
(PEP 691; times of uploads: PEP 700; project status: PEP 792; provenance: PEP 740), npm's by its package document. Answers are
hostile text: bounded and typed, and no link in them is followed.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass
from typing import Any

import msgspec
from safe_load.advisories import versions
from safe_load.core import typed
from safe_load.core.version import version as own_version

_LARGEST = 256 << 20
TIMEOUT = 20.0
_PIP = "from pip._internal.models.index import PyPI; print(PyPI.simple_url)"
_NPM_HOLDER = "security holding package"


@dataclass(frozen=True)
class Answer:
    """What a registry said. asked: whether it was; why: why not, or what went wrong. there: None where it is not known.

    first: the day of the first upload (YYYY-MM-DD); versions: of uploads that are not withdrawn; attested: whether the
    version in question, or the newest, has a provenance attestation."""

    asked: bool
    why: str = ""
    there: bool | None = None
    first: str | None = None
    quarantined: bool | None = None
    attested: bool | None = None
    newest: str | None = None
    versions: tuple[str, ...] = ()


class _File(msgspec.Struct, rename="kebab"):
    filename: str
    upload_time: str | None = None
    provenance: str | None = None
    yanked: bool | str = False


class _Status(msgspec.Struct):
    status: str = "active"


class _Project(msgspec.Struct, rename="kebab"):
    files: list[_File]
    project_status: _Status | None = None
    versions: list[str] = []


class _Dist(msgspec.Struct):
    attestations: Any = None


class _Version(msgspec.Struct):
    dist: _Dist = msgspec.field(default_factory=_Dist)
    description: Any = None


class _Package(msgspec.Struct, rename={"tags": "dist-tags"}):
    time: dict[str, Any] = {}
    versions: dict[str, _Version] = {}
    tags: dict[str, str] = {}
    description: Any = None


class Registry:
    """The two registries. pypi, npm: addresses; None for what pip and npm are set to. offline: ask none."""

    def __init__(
        self, pypi: str | None = None, npm: str | None = None, *, offline: bool = False
    ) -> None:
        self._given = {"pypi": pypi, "npm": npm}
        self._offline = offline
        self._held: dict[str, str | None] = {}

    @staticmethod
    def fit(url: str) -> bool:
        """Whether an address may be asked: https, or this machine."""
        return _fit(url)

    def address(self, ecosystem: str) -> str | None:
        """Where a registry is asked; None where pip or npm does not say."""
        if ecosystem not in self._held:
            found = self._given[ecosystem] or (_pip() if ecosystem == "pypi" else _npm())
            self._held[ecosystem] = found if found and _fit(found) else None
        return self._held[ecosystem]

    def ask(self, ecosystem: str, name: str, version: str | None = None) -> Answer:
        """What the registry says of a package. Raises nothing."""
        if self._offline:
            return Answer(False, "offline")
        base = self.address(ecosystem)
        if base is None:
            tool = "pip" if ecosystem == "pypi" else "npm"
            return Answer(
                False, f"{tool} names no index with an https:// address; --{ecosystem} URL does"
            )
        quoted = urllib.parse.quote(name, safe="@")
        accept = (
            "application/vnd.pypi.simple.v1+json" if ecosystem == "pypi" else "application/json"
        )
        url = f"{base.rstrip('/')}/{quoted}" + ("/" if ecosystem == "pypi" else "")
        try:
            data = _get(url, accept)
        except urllib.error.HTTPError as error:
            if error.code in {404, 410}:
                return Answer(True, there=False)
            return Answer(False, f"the registry answers HTTP {error.code}")
        except (OSError, ValueError) as error:
            return Answer(False, f"the registry cannot be asked: {short(error)}")
        try:
            if ecosystem == "pypi":
                return _of_pypi(typed.decode(data, _Project), version)
            return _of_npm(typed.decode(data, _Package), version)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return Answer(False, "the registry's answer is not what its API says")


def _of_pypi(found: _Project, version: str | None) -> Answer:
    days = [file.upload_time[:10] for file in found.files if file.upload_time]
    newest = versions.newest("pypi", found.versions)
    meant = version or newest
    # name-1.0-py3-none-any.whl, name-1.0.tar.gz
    mark = re.compile(rf"-{re.escape(meant or '')}(?:-|\.tar\.gz$|\.zip$)")
    files = [file for file in found.files if meant and mark.search(file.filename)]
    attested = any(file.provenance for file in files) if files else None
    status = found.project_status.status if found.project_status else None
    return Answer(
        True,
        there=True,
        first=min(days, default=None),
        quarantined=None if status is None else status == "quarantined",
        attested=attested,
        newest=newest,
        versions=tuple(found.versions),
    )


def _of_npm(found: _Package, version: str | None) -> Answer:
    created = found.time.get("created")
    newest = found.tags.get("latest")
    held = found.versions.get(version or newest or "")
    # What npm took down is replaced by one version that says so (npm's "security holding package").
    taken = _NPM_HOLDER in str(found.description) or str(newest).endswith("-security")
    return Answer(
        True,
        there=bool(found.versions) or taken,
        first=created[:10] if isinstance(created, str) else None,
        quarantined=taken,
        attested=bool(held.dist.attestations) if held is not None else None,
        newest=newest,
        versions=tuple(found.versions),
    )


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Follows a redirect to https only, or within loopback."""

    def redirect_request(
        self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> Any:
        if not _fit(newurl):
            raise urllib.error.HTTPError(
                newurl, code, "the registry redirects to an address without encryption", headers, fp
            )
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def opener(*handlers: Any) -> urllib.request.OpenerDirector:
    """Asks over the network; what PIP_CERT names is trusted as pip trusts it."""
    if os.environ.get("PIP_CERT"):
        import ssl  # noqa: PLC0415

        context = ssl.create_default_context(cafile=os.environ["PIP_CERT"])
        handlers = (*handlers, urllib.request.HTTPSHandler(context=context))
    return urllib.request.build_opener(*handlers)


def _get(url: str, accept: str) -> bytes:
    """The body of an answer. Raises OSError (also urllib's), ValueError for one that is too large."""
    headers = {"Accept": accept, "User-Agent": f"safe-load/{own_version()}"}
    request = urllib.request.Request(url, headers=headers)  # noqa: S310 (https or loopback: _fit)
    with opener(_NoRedirect()).open(request, timeout=TIMEOUT) as answer:
        data: bytes = answer.read(_LARGEST + 1)
    if len(data) > _LARGEST:
        raise ValueError(f"the answer is larger than {_LARGEST >> 20} MiB")
    return data


def _fit(url: str) -> bool:
    """Whether an address may be asked: https, or this machine."""
    scheme = urllib.parse.urlsplit(url).scheme
    return scheme == "https" or (scheme == "http" and is_here(url))


def is_here(url: str) -> bool:
    """Whether an address is this machine's own."""
    return urllib.parse.urlsplit(url).hostname in {"127.0.0.1", "::1", "localhost"}


def _pip() -> str | None:
    """The index that pip is set to; else pip's own."""
    if os.environ.get("PIP_INDEX_URL"):
        return os.environ["PIP_INDEX_URL"]
    told = said([sys.executable, "-m", "pip", "config", "list"])
    for line in told.splitlines():
        key, _, value = line.partition("=")
        if key.endswith(".index-url"):
            return value.strip().strip("'\"")
    return said([sys.executable, "-c", _PIP]).strip() or None


def _npm() -> str | None:
    """The registry that npm is set to; None without npm."""
    for name in ("NPM_CONFIG_REGISTRY", "npm_config_registry"):
        if os.environ.get(name):
            return os.environ[name]
    return said(["npm", "config", "get", "registry"]).strip() or None


def said(command: list[str]) -> str:
    """What a program of this machine writes; "" where it is not there or fails."""
    try:
        # Not in the working folder: a project's own .npmrc does not say whom we ask.
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
            cwd="/",
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.TimeoutExpired, UnicodeDecodeError):
        return ""
    return done.stdout if done.returncode == 0 else ""


def short(error: Exception) -> str:
    """Why something could not be asked, in a line."""
    reason = getattr(error, "reason", None)
    return " ".join(str(reason or error).split())[:150] or type(error).__name__
