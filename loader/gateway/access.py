"""Who asks: a token in a header, as hubs' clients send it or as browsers do; and forms that only our own pages sent.

Zone: controller.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from safe_load.gateway.settings import Settings, User
    from starlette.requests import Request

#: Seconds for which a form that was shown may be sent.
_FORM = 3600


def user_of(request: Request, settings: Settings) -> User | None:
    """The user whose token the request bears: "Bearer TOKEN", or a browser's NAME and TOKEN. A token of somebody else's,
    such as one for the upstream hub, is nobody's, and goes nowhere."""
    kind, _, value = request.headers.get("authorization", "").partition(" ")
    if kind.lower() == "bearer":
        return settings.user_of(value.strip())
    if kind.lower() != "basic":
        return None
    try:
        name, _, token = (
            base64.b64decode(value.strip(), validate=True).decode("utf-8").partition(":")
        )
    except (binascii.Error, UnicodeDecodeError):
        return None
    user = settings.user_of(token)
    return user if user is not None and user.name == name else None


def may_approve(user: User | None) -> bool:
    """Whether this user may accept findings, end exceptions, and have models judged again."""
    return user is not None and "approve" in user.roles


class Forms:
    """What a form of our own page holds, and no other page knows. secret: of this process."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def token(self, user: User) -> str:
        """For a form that is shown to that user now."""
        now = str(int(time.time()))
        return f"{now}.{self._sign(user, now)}"

    def is_own(self, request: Request, user: User, token: str) -> bool:
        """Whether a form comes from our own page, and was shown to this user within the last hour."""
        # Browsers say where a request comes from (Fetch Metadata); a program says nothing.
        if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
            return False
        at, _, signed = token.partition(".")
        fresh = (
            at.isascii() and at.isdigit() and len(at) < 12 and 0 <= time.time() - int(at) <= _FORM
        )
        return hmac.compare_digest(self._sign(user, at).encode(), signed.encode()) and fresh

    def _sign(self, user: User, at: str) -> str:
        return hmac.new(self._secret, f"{user.name} {at}".encode(), hashlib.sha256).hexdigest()
