"""The gateway's file: what is wrong in it is named, and what would open too much is refused."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest
from safe_load.core.errors import UsageError
from safe_load.gateway.settings import Settings, read

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.anyone

ALICE, BOB = "alice-token-of-32-characters-000", "bob-token-of-32-characters-00000"
GIVEN = {"upstream": "https://hub.example", "data": "data"}


def digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


USERS = f"""
[[users]]
name = "alice"
token-sha256 = "{digest(ALICE)}"
roles = ["read", "approve"]
[[users]]
name = "bob"
token-sha256 = "{digest(BOB)}"
"""


def settings(tmp_path: Path, text: str) -> Settings:
    file = tmp_path / "gateway.toml"
    file.write_text(text)
    return read(file, GIVEN)


def test_flags_win_over_the_file(tmp_path: Path) -> None:
    file = tmp_path / "gateway.toml"
    file.write_text('upstream = "https://other.example"\nport = 1\nnames-for = "1h"\n')
    chosen = read(file, GIVEN | {"port": 9000, "host": None})
    assert (chosen.upstream, chosen.port, chosen.names_for) == ("https://hub.example", 9000, 3600.0)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("prot = 1", "unknown field `prot`"),
        ("port = 70000", "$.port"),
        ("[load]\nfail-on = 'never'", "would serve what was rejected"),
        ("[load]\nexport-despite-findings = true", "unknown key 'export-despite-findings'"),
        ("[load]\ndepth = 'deep'", "load.depth"),
        ("[load]\ntimeout = 'soon'", "load.timeout"),
        ("[limits]\nqueue = 0", "$.limits.queue"),
        ("[[users]]\nname = 'a'\ntoken-sha256 = 'secret'", "$.users[0].token-sha256"),
        ("[[users]]\nname = 'a b'\ntoken-sha256 = '" + "0" * 64 + "'", "$.users[0].name"),
        (
            USERS + f"[[users]]\nname = 'eve'\ntoken-sha256 = '{digest(BOB)}'",
            "the same name or the same token",
        ),
        (USERS + "[[models]]\nmatch = 'acme/**'\nusers = ['eve']", "'eve', who is not in users"),
        ("[[models]]\nmatch = 'acme/**'\ntoken = true", "may open private models, and no users"),
        ("[[models]]\nmatch = ''", "the pattern ''"),
        ("anonymous = false", "nobody could read anything"),
        ("url = 'javascript:alert(1)'", "url:"),
        ('url = "https://x\\r\\nEvil: 1"', "url:"),
        ("names-for = 'ever'", "'ever'"),
        ("not toml", "is not TOML"),
    ],
)
def test_what_is_wrong_is_named_with_the_file_and_the_key(
    tmp_path: Path, text: str, told: str
) -> None:
    with pytest.raises(UsageError) as caught:
        settings(tmp_path, text)
    assert told in str(caught.value)
    assert "gateway.toml" in str(caught.value)


def test_a_missing_upstream_is_told_by_its_flag() -> None:
    with pytest.raises(UsageError, match="--upstream"):
        read(None, {"data": "x"})


def test_a_token_is_known_by_its_digest_alone(tmp_path: Path) -> None:
    chosen = settings(tmp_path, USERS)
    alice = chosen.user_of(ALICE)
    assert alice is not None
    assert alice.name == "alice"
    assert chosen.user_of(digest(ALICE)) is None
    assert chosen.user_of("short") is None
    assert chosen.user_of(None) is None


def test_who_may_read_what_is_decided_by_the_first_rule_whatever_the_case(tmp_path: Path) -> None:
    text = """
    [[models]]
    match = "acme/public-*"
    [[models]]
    match = "acme/**"
    users = ["alice"]
    [[models]]
    match = "Evil/**"
    allow = false
    """
    chosen = settings(tmp_path, text + USERS)
    alice, bob = chosen.user_of(ALICE), chosen.user_of(BOB)
    assert chosen.may_read(None, "acme/public-1")
    for name in ("acme/secret", "ACME/secret", "Acme/Secret"):
        assert chosen.may_read(alice, name)
        assert not chosen.may_read(bob, name)
        assert not chosen.may_read(None, name)
    assert not chosen.rule_of("evil/x").allow
    assert chosen.rule_of("good/evil").allow


def test_the_hub_is_shown_the_token_for_no_model_but_those_of_a_rule(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("hf_secret\n")
    token.chmod(0o600)
    text = (
        f"token-file = '{token}'\n[[models]]\nmatch = 'acme/**'\ntoken = true\nusers = ['*']\n"
        + USERS
    )
    chosen = settings(tmp_path, text)
    assert chosen.token_for("acme/x") == "hf_secret"
    assert chosen.token_for("other/x") is False
    assert "hf_secret" not in repr(chosen)
    token.chmod(0o644)
    with pytest.raises(UsageError, match="can be read by others"):
        settings(tmp_path, text)
