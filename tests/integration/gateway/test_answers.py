"""What the gateway answers: bytes, heads, ranges, listings, and who may have what."""

from __future__ import annotations

import hashlib
import socket
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.integration.fake_hub import Answer, Request
from tests.integration.gateway.asking import ALICE, BOB, Gateway

pytestmark = pytest.mark.anyone


def test_heads_and_ranges_of_a_file_agree(gateway: Gateway) -> None:
    path = "/org/good/resolve/main/model.safetensors"
    whole = gateway.get(path)
    head = gateway.get(path, "HEAD")
    digest, size = hashlib.sha256(whole.body).hexdigest(), len(whole.body)
    assert (head.body, head.headers["content-length"]) == (b"", str(size))
    for got in (whole, head):
        assert got.headers["etag"] == got.headers["x-linked-etag"] == f'"{digest}"'
        assert got.headers["x-linked-size"] == str(size)
        assert (
            got.headers["x-repo-commit"]
            == got.headers["x-safe-load-revision"]
            != gateway.commits["org/good"]
        )
        assert got.headers["x-safe-load-upstream-commit"] == gateway.commits["org/good"]
    for wanted, start, end in (
        ("bytes=100-", 100, size),
        ("bytes=7-9", 7, 10),
        ("bytes=-5", size - 5, size),
    ):
        part = gateway.get(path, Range=wanted)
        assert (part.status, part.body) == (206, whole.body[start:end])
        assert part.headers["content-range"] == f"bytes {start}-{end - 1}/{size}"
    for wanted in (f"bytes={size}-", "bytes=9-7", "bytes=x"):
        refused = gateway.get(path, Range=wanted)
        assert (refused.status, refused.body) == (416, b"")
        assert refused.headers["content-range"] == f"bytes */{size}"
    assert gateway.get(path, Range="bytes=0-3", If_Range='"another"').status == 200
    assert gateway.get(path, If_None_Match=f'"{digest}"').status == 304


def test_a_file_that_is_not_in_the_cleared_copy_is_not_there(gateway: Gateway) -> None:
    for name in ("pytorch_model.bin", "none.json", ".gitattributes"):
        got = gateway.get(f"/org/good/resolve/main/{name}")
        assert (got.status, got.headers["x-error-code"]) == (404, "EntryNotFound")
        assert got.headers["x-repo-commit"]


def test_what_leads_elsewhere_is_not_there(gateway: Gateway) -> None:
    host, port = gateway.url.removeprefix("http://").split(":")
    secret = str(gateway.data / "gateway.sqlite")
    for path in (
        f"/org/good/resolve/main/..{secret}", "/org/good/resolve/main/../../../../gateway.sqlite",
        "/org/good/resolve/main/%2e%2e/%2e%2e/%2e%2e/gateway.sqlite", "/org/good/resolve/main/..%2f..%2f..%2fgateway.sqlite",
        f"/org/good/resolve/main/{secret}", f"/org/good/resolve/main/%2f{secret}", "/org/good/resolve/main/a%00b",
        "/org/good/resolve/main/..%5c..%5cgateway.sqlite", "/org/good/resolve/%0d%0aX-Evil:%201/config.json",
        "/-/report/../../gateway.sqlite", "/-/report/1%2f..%2f..", "/-/static/../style.css", "/api/models/org/good/tree/main/..",
    ):  # fmt: skip
        with socket.create_connection(
            (host, int(port)), 30
        ) as connection:  # no library that tidies paths up
            connection.sendall(
                f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode()
            )
            answer = b""
            while chunk := connection.recv(65536):
                answer += chunk
        assert answer.startswith((b"HTTP/1.1 404", b"HTTP/1.1 400")), path
        assert b"SQLite" not in answer
        assert b"\r\nX-Evil" not in answer


def test_a_models_own_words_stay_on_one_line_of_a_header(gateway: Gateway) -> None:
    got = gateway.get("/org/evil/resolve/main/config.json")
    assert (got.status, got.headers["x-error-code"]) == (403, "GatedRepo")
    assert "x-evil" not in got.headers
    assert got.headers["content-type"] == "application/json"


def test_other_kinds_of_repository_are_refused(gateway: Gateway) -> None:
    for path in (
        "/api/datasets/org/good",
        "/datasets/org/good/resolve/main/x.parquet",
        "/api/spaces/org/good",
    ):
        got = gateway.get(path)
        assert got.status == 403
        assert "serves cleared models only" in got.headers["x-error-message"]
    for path in (
        "/api/models",
        "/api/repos/create",
        "/x",
        "/org/good/raw/main/config.json",
        "/org/good.git/info/refs",
    ):
        assert gateway.get(path).status == 404
    assert gateway.get("/api/models/org/good", "POST", body=b"{}").status == 405
    assert gateway.get("/api/organizations/org/overview").json["name"] == "org"
    assert gateway.get("/banned/x/resolve/main/config.json").status == 403
    assert not gateway.hub.asked("banned/x")  # other tests ask for names that only end so


def test_a_thousand_heads_at_once_are_answered(gateway: Gateway) -> None:
    path = "/org/good/resolve/main/config.json"
    assert gateway.get(path).status == 200
    asked = len(gateway.hub.requests)
    with ThreadPoolExecutor(64) as pool:
        got = list(pool.map(lambda _: gateway.get(path, "HEAD").status, range(1000)))
    assert set(got) == {200}
    assert len(gateway.hub.requests) - asked < 60  # the name is asked for again once a second


# --- who may have what


def test_a_private_model_is_for_those_whom_the_policy_names(gateway: Gateway) -> None:
    path = "/acme/secret/resolve/main/config.json"
    assert gateway.get(path, token=ALICE).status == 200
    revision = gateway.get(path, "HEAD", token=ALICE).headers["x-repo-commit"]
    for who in (None, BOB, "hf_OfAUserOfTheHub0000000000000000"):
        for each in (
            path,
            path.replace("acme", "ACME"),
            path.replace("main", revision),
            "/api/models/acme/secret/refs",
        ):
            got = gateway.get(each, token=who)
            assert got.status in (401, 404)
            assert gateway.commits["acme/secret"] not in str(got.headers)
    assert gateway.get("/org/good/resolve/" + revision + "/config.json").status == 404
    page = gateway.get("/-/?q=secret", token=BOB)
    assert page.status == 200
    assert b"acme/secret" not in page.body
    assert b"acme/secret" in gateway.get("/-/?q=secret", token=ALICE).body


def test_the_same_bytes_under_another_name_are_not_opened_again(gateway: Gateway) -> None:
    first, second = (gateway.get(f"/api/models/{name}").json for name in ("org/good", "org/same"))
    assert first["sha"] != second["sha"]
    assert first["siblings"] == second["siblings"]


def test_whoami_knows_the_gateways_users_and_no_others(gateway: Gateway) -> None:
    assert gateway.get("/api/whoami-v2", token=BOB).json["name"] == "bob"
    assert gateway.get("/api/whoami-v2", token="hf_OfAUserOfTheHub0000000000000000").status == 401


def test_a_name_that_the_hub_leads_elsewhere_is_bound_by_the_rules_of_both(
    gateway: Gateway,
) -> None:
    gateway.hub.add("moved/x", {"config.json": b"{}"})
    kept = gateway.hub.before

    def moved(request: Request) -> Answer | None:
        for old, new in (("alias/banned", "moved/x"), ("alias/good", "org/good")):
            if old in request.path:
                return Answer(307, headers={"Location": request.path.replace(old, new)})
        return kept(request) if kept is not None else None

    gateway.hub.before = moved
    try:
        got = gateway.get("/api/models/alias/banned")
        assert (got.status, got.headers["x-error-code"]) == (404, "RepoNotFound")
        assert "another name" in got.json["error"]
        assert gateway.get("/api/models/alias/good").status == 200
    finally:
        gateway.hub.before = kept


def test_a_request_that_two_servers_may_read_differently_gets_one_answer(gateway: Gateway) -> None:
    host, port = gateway.url.removeprefix("http://").split(":")
    hidden = "0\r\n\r\nGET /-/audit HTTP/1.1\r\nHost: x\r\n\r\n"
    for method, headers, body in (
        ("POST", "Content-Length: 5\r\nTransfer-Encoding: chunked", hidden),
        ("GET", "Content-Length: 5\r\nContent-Length: 6", "abcdef"),
        ("GET", "Transfer-Encoding : chunked", hidden),
        ("GET", "Host: evil.example", ""),
        ("GET", "Authorization: Bearer a\0b", ""),
        ("POST", "Content-Type: application/json\r\nContent-Length: 9999", ""),  # and it goes
    ):
        path = "/-/api/warm" if "json" in headers else "/org/good/resolve/main/config.json"
        with socket.create_connection((host, int(port)), 30) as connection:
            connection.sendall(
                f"{method} {path} HTTP/1.1\r\nHost: x\r\n{headers}\r\nConnection: close\r\n\r\n{body}".encode()
            )
            connection.shutdown(socket.SHUT_WR)
            answer = b""
            while chunk := connection.recv(65536):
                answer += chunk
        assert answer.count(b"HTTP/1.1 ") == ("json" not in headers), (headers, answer)
        assert not answer or answer.startswith((b"HTTP/1.1 400", b"HTTP/1.1 405")), headers
