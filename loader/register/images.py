"""The digest that a container image's tag stands for now: its registry says (OCI distribution), or this machine's engine.

Zone: controller. Answers are hostile text: of a registry only a header and a token are read, bounded; no redirect is followed.
"""

from __future__ import annotations

import json
import re
import urllib.error
import urllib.parse
import urllib.request
from typing import Any

from safe_load.core.errors import NotLoadable
from safe_load.register import registry

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_ACCEPT = ", ".join(
    f"application/vnd.{kind}+json"
    for kind in (
        "oci.image.index.v1",
        "docker.distribution.manifest.list.v2",
        "oci.image.manifest.v1",
        "docker.distribution.manifest.v2",
    )
)
_NAME = re.compile(r"[a-z0-9]+(?:[._/-]+[a-z0-9]+)*")
_TAG = re.compile(r"\w[\w.-]{0,127}")
_CHALLENGE = re.compile(r'(\w+)="([^"]*)"')
_LARGEST = 1 << 20
#: Of a registry whose images are written without its address.
_DEFAULT = "docker.io"


def digest_of(image: str, tag: str | None, *, offline: bool = False) -> str:
    """The digest of image:tag. Raises NotLoadable."""
    tag = tag or "latest"
    address, name = _split(image)
    if (
        not re.fullmatch(r"[\w.:\[\]-]+", address)
        or not _NAME.fullmatch(name)
        or not _TAG.fullmatch(tag)
    ):
        raise NotLoadable(f"{image}: no name of an image")
    if offline:
        if found := _pulled(image, tag):
            return found
        raise NotLoadable("its registry was not asked, and no engine here has pulled it")
    if address == _DEFAULT:
        address = urllib.parse.urlsplit(_engine("info", "{{.IndexServerAddress}}")).netloc
        if not address:
            raise NotLoadable("no container engine of this machine says whose name it is")
    here = re.fullmatch(r"(?:localhost|127\.0\.0\.1|\[::1\])(?::\d+)?", address)
    url = f"{'http' if here else 'https'}://{address}/v2/{name}/manifests/{tag}"
    try:
        digest = _asked(url, name)
    except urllib.error.HTTPError as error:
        raise NotLoadable(
            _REFUSED.get(error.code, f"its registry answers HTTP {error.code}")
        ) from None
    except (OSError, ValueError) as error:
        raise NotLoadable(f"its registry cannot be asked: {registry.short(error)}") from None
    if not _DIGEST.fullmatch(digest):
        raise NotLoadable("its registry names no digest")
    return digest


_REFUSED = {
    401: "its registry wants a login",
    403: "its registry wants a login",
    404: "its registry has no such image",
}


def _split(image: str) -> tuple[str, str]:
    """The registry's address and the name in it: ghcr.io/acme/x, acme/x, x."""
    first, slash, rest = image.partition("/")
    if slash and (re.search(r"[.:]", first) or first == "localhost"):
        address, name = first, rest
    else:
        address, name = _DEFAULT, image
    return address, f"library/{name}" if address == _DEFAULT and "/" not in name else name


class _Stay(urllib.request.HTTPRedirectHandler):
    """Follows no redirect: the request may carry a token."""

    def redirect_request(self, *_: Any) -> None:
        return None


def _asked(url: str, name: str) -> str:
    """What the registry names as the digest. Raises OSError, ValueError."""
    try:
        return _head(url, {})
    except urllib.error.HTTPError as error:
        challenge = error.headers.get("WWW-Authenticate", "")
        if error.code != 401 or not challenge.lower().startswith("bearer "):
            raise
    told = dict(_CHALLENGE.findall(challenge[:2000]))
    realm = told.get("realm", "")
    if not registry.Registry.fit(realm):
        raise ValueError("it sends for a token to an address without encryption")
    # A registry elsewhere has no say in what is asked of this machine.
    if registry.is_here(realm) and not registry.is_here(url):
        raise ValueError("it sends for a token to this machine")
    query = {"service": told.get("service", ""), "scope": f"repository:{name}:pull"}
    request = urllib.request.Request(f"{realm}?{urllib.parse.urlencode(query)}")  # noqa: S310 (fit)
    with registry.opener(_Stay()).open(request, timeout=registry.TIMEOUT) as answer:
        held = json.loads(answer.read(_LARGEST))
    token = held.get("token") or held.get("access_token") if isinstance(held, dict) else None
    if not isinstance(token, str) or not re.fullmatch(r"[\x21-\x7e]{1,8192}", token):
        raise ValueError("it gives no token")
    return _head(url, {"Authorization": f"Bearer {token}"})


def _head(url: str, headers: dict[str, str]) -> str:
    request = urllib.request.Request(url, headers={"Accept": _ACCEPT, **headers}, method="HEAD")  # noqa: S310 (https, or this machine)
    with registry.opener(_Stay()).open(request, timeout=registry.TIMEOUT) as answer:
        return str(answer.headers.get("Docker-Content-Digest", ""))


def _pulled(image: str, tag: str) -> str:
    """The digest of what this machine's engine holds under the tag; "" of none."""
    told = _engine("image", "inspect", f"{image}:{tag}", "{{json .RepoDigests}}")
    found = re.search(rf"@({_DIGEST.pattern})", told)
    return found[1] if found else ""


def _engine(*words: str) -> str:
    *command, form = words
    return registry.said(["docker", *command, "--format", form]).strip()
