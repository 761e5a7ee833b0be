"""Links that hold a key are told with the key masked; what has ended, reads little, or is an example is not."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import pytest
from safe_load.worker.key_links import MOST, find, mask

NOW = datetime(2026, 11, 29, tzinfo=UTC)
SECRET = "Zm9vYmFyYmF6cXV4MTIzNDU2Nzg5MA%3D%3D"
BLOB = "https://acme.blob.core.windows.net/models/m.bin"
S3 = "https://acme.s3.amazonaws.com/m.bin?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20261128%2Fus-east-1%2Fs3%2Faws4_request"
GCS = "https://storage.googleapis.com/b/o?X-Goog-Algorithm=GOOG4-RSA-SHA256"
HUB = "hf_AbCdEfGhIjKlMnOpQrStUvWxYz12345678"

KEYS = {
    f"{BLOB}?sv=2022-11-02&ss=bfqt&srt=sco&sp=rwdlacupx&se=2051-10-06T00:00:00Z&sig={SECRET}": (
        "holds a key of Azure for a whole storage account, until 2051-10-06, that may write, delete, create, "
        "add, update, delete versions, change access"
    ),
    f"{BLOB}?sp=rw&sr=b&se=2026-11-30T00:00:00Z&sv=2022-11-02&sig={SECRET}": (
        "holds a key of Azure for one object, until 2026-11-30, that may write"
    ),
    f"{BLOB}?sp=r&sr=c&se=2030-01-01&sv=2022-11-02&sig={SECRET}": (
        "holds a key of Azure for a whole container, until 2030-01-01, that may only read"
    ),
    f"{BLOB}?sr=b&si=policy&sv=2022-11-02&sig={SECRET}": (
        "holds a key of Azure for one object, without a day on which it ends, that may only read"
    ),
    f"{S3}&X-Amz-Date=20261128T120000Z&X-Amz-Expires=604800&X-Amz-Signature={SECRET}": (
        "holds a signature of Amazon for one object, until 2026-12-05, that may only read"
    ),
    f"https://acme.s3.amazonaws.com/m?AWSAccessKeyId=AKIA1&Expires=2000000000&Signature={SECRET}": (
        "holds a signature of Amazon for one object, until 2033-05-18, that may only read"
    ),
    f"{GCS}&X-Goog-Date=20261129T000000Z&X-Goog-Expires=3600&X-Goog-Signature={SECRET}": (
        "holds a signature of Google for one object, until 2026-11-29, that may only read"
    ),
    f"https://oauth2:{SECRET}@gitlab.example/group/repo.git": "holds a user's name and password",
    f"ftp://anna:{SECRET}@files.example/m.bin": "holds a user's name and password",
    HUB: "holds a token of the hub",
    "ghp_0123456789abcdefghijABCDEFGHIJ012345": "holds a token of GitHub",
}


@pytest.mark.parametrize("link", KEYS)
def test_a_key_is_told_and_its_secret_is_not(link: str) -> None:
    for text in (link, f'{{"url": "{link}"}}', f"see <{link}>.", f"({link})"):
        found = find(text, NOW)
        assert [each.what for each in found] == [KEYS[link]]
        secret = link if "://" not in link else SECRET
        assert secret not in found[0].link
        assert secret not in mask(text)
    if "://" in link:
        assert find(link, NOW)[0].link.startswith(link.partition("://")[0])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "https://host.example:8080/path@v1",
        "https://huggingface.example/org/name/resolve/main/model.safetensors?download=true",
        f"{BLOB}?sp=r&sr=b&se=2026-12-01&sv=2022-11-02&sig={SECRET}",
        f"{BLOB}?ss=b&srt=sco&sp=rwd&se=2020-01-01&sv=2019-12-12&sig={SECRET}",
        f"{S3}&X-Amz-Date=20240101T000000Z&X-Amz-Expires=3600&X-Amz-Signature={SECRET}",
        "https://user:password@host.example/",
        "https://user:<password>@host.example/",
        "https://user:${TOKEN}@host.example/",
        "postgres://user:YOUR_PASSWORD@host.example/db",
        "export HF_TOKEN=hf_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
        "hf_hub_download hf_internal_testing_a_very_long_name_of_nothing",
        "git@github.example:org/name.git and mail to anna@example.org",
    ],
)
def test_what_opens_nothing_is_no_finding(text: str) -> None:
    assert find(text, NOW) == []


@pytest.mark.parametrize(
    "text",
    [
        "https://[::1",
        "https://[bad?sig=1&sv=2",
        f"{BLOB}?sig=a&sv=1&se=never&sp=w",
        f"{BLOB}?sig=abcdef&sv=1&se=9999999-01-01&sp=w",
        f"{GCS}&X-Goog-Date=x&X-Goog-Expires=99999999999999&X-Goog-Signature=abcdef",
        f"https://x.example/?Signature=abcdef&AWSAccessKeyId=a&Expires={'9' * 12}",
        "https://x.example/?sig=1&sv=2&" + "&".join(f"a{n}=1" for n in range(500)),
        "\ud800https://a:b@c",
    ],
)
def test_nothing_that_is_malformed_makes_it_fail(text: str) -> None:
    find(text, NOW)
    mask(text)


@pytest.mark.parametrize("unit", ["a://", "://x", "hf_", "https://a:b@c?sig=", "x" * 30 + "://"])
def test_a_long_text_takes_linear_time(unit: str) -> None:
    text = unit * (2_000_000 // len(unit))
    began = time.process_time()
    found = find(text, NOW)
    assert time.process_time() - began < 8
    assert len(found) <= MOST
