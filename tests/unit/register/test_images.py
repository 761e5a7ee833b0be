"""Whom the registry of an image may send a request to."""

from __future__ import annotations

import urllib.error
from email.message import Message

import pytest
from safe_load.core.errors import NotLoadable
from safe_load.register import images


def test_a_registry_elsewhere_sends_nobody_to_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    told = Message()
    told["WWW-Authenticate"] = 'Bearer realm="http://127.0.0.1:9/token"'

    def refuses(url: str, headers: dict[str, str]) -> str:
        raise urllib.error.HTTPError(url, 401, "", told, None)

    monkeypatch.setattr(images, "_head", refuses)
    with pytest.raises(NotLoadable, match="to this machine"):
        images.digest_of("images.example/acme/x", "1")
    with pytest.raises(NotLoadable, match="refused"):  # asked, and nothing listens there
        images.digest_of("127.0.0.1:9/acme/x", "1")
