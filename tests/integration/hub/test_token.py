"""A token goes to the hub it is for, and nowhere else."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from safe_load import NotLoadable
from safe_load.sources import hub
from safe_load.sources.hub import fetcher
from safe_load.sources.hub.refusals import Refused

from tests.integration.fake_hub import Answer, FakeHub, Request
from tests.integration.hub.asking import (
    FILES,
    LOADED,
    REPO,
    TOKEN,
    authorized,
    fails,
    fetch,
    run_command,
)

if TYPE_CHECKING:
    from pathlib import Path


def test_the_token_goes_to_the_hub_and_nowhere_else(server: FakeHub) -> None:
    server.add(REPO, FILES)
    other = server.storage.url

    def elsewhere(request: Request) -> Answer | None:
        if request.path.endswith("/vocab.txt"):
            return Answer(307, headers={"Location": f"{other}/vocab", "X-Repo-Commit": "0" * 40})
        return None

    def further(request: Request) -> Answer | None:
        if "/tree/" in request.path:
            return Answer(200, b"[]")
        if request.path == "/vocab":
            return Answer(200, FILES["vocab.txt"], {"ETag": '"x"'})
        return None

    server.before = elsewhere
    server.storage.before = further
    fails()  # no ETag on a redirect; what counts is who was told what
    server.before = lambda _: None
    fetch()
    assert len(authorized(server.requests)) == len(server.requests)
    assert server.storage.requests
    assert not authorized(server.storage.requests)


def test_a_further_page_elsewhere_does_not_get_it(server: FakeHub) -> None:
    """What huggingface_hub alone would send: it follows the hub's Link wherever it leads."""
    server.add(REPO, FILES)
    link = {"Link": f'<{server.storage.url}/tree/2>; rel="next"'}
    server.before = lambda request: Answer(200, b"[]", link) if "/tree/" in request.path else None
    server.storage.before = lambda _: Answer(200, b"[]")
    fails()
    assert server.storage.asked("/tree/2")
    assert not authorized(server.storage.requests)


def test_a_file_that_xet_keeps_comes_by_the_client_that_is_watched(server: FakeHub) -> None:
    """Xet's own client would be handed the token for whatever address the hub names."""
    server.xet = True
    server.add(REPO, FILES)
    assert fetch().files == LOADED
    assert not server.storage.asked("/xet")
    assert not authorized(server.storage.requests)


@pytest.mark.parametrize(
    ("url", "sent"),
    [
        ("https://hub.example/x", True),
        ("https://HUB.example:443/x", True),
        ("https://hub.example:444/x", False),
        ("https://hub.example.evil.example/x", False),
        ("https://evil.example/hub.example", False),
        ("http://hub.example/x", None),
        ("http://evil.example/x", None),
    ],
)
def test_each_request_is_looked_at(home: Path, url: str, sent: bool | None) -> None:
    """None: not sent at all, since a hub that encrypts does not lead to one that does not."""
    client = fetcher._guarded("https://hub.example")()
    request = client.build_request("GET", url, headers={"Authorization": TOKEN, "Cookie": "a=b"})
    look = client.event_hooks["request"][-1]
    if sent is None:
        with pytest.raises(Refused, match="unencrypted"):
            look(request)
    else:
        look(request)
        assert ("authorization" in request.headers, "cookie" in request.headers) == (sent, sent)
    client.close()


def test_the_token_is_in_no_output(
    server: FakeHub, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    server.add(REPO, FILES)

    def repeat(request: Request) -> Answer | None:
        told = request.headers.get("authorization", "")
        if "/tree/" in request.path:
            headers = {"X-Error-Message": told, "X-HF-Warning": f"x; {told}"}
            return Answer(400, told.encode(), headers)
        return None

    server.before = repeat
    done = run_command("scan", f"hf://{REPO}", "--format", "json", cwd=tmp_path)
    assert done.returncode == 3
    assert "Bearer" in server.asked("/tree/")[0].headers["authorization"]
    for text in (done.stdout, done.stderr):
        assert "hf_" not in text
        assert "Bearer" not in text
    for token in ("a\nb", "ä"):
        with pytest.raises(NotLoadable) as caught:
            hub.fetch(hub.parse(f"hf://{REPO}"), token=token)
        assert "the token is missing, or holds characters that no token has" in str(caught.value)
        assert token not in str(caught.value)
