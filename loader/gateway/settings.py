"""The gateway's configuration file: read, typed and checked. Zone: controller."""

from __future__ import annotations

import hashlib
import hmac
import re
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal
from urllib.parse import urlsplit

import msgspec
from safe_load.core import typed
from safe_load.core.errors import UsageError
from safe_load.core.escape import visible
from safe_load.core.options import Options, OptionsDict, checked
from safe_load.core.units import parse_seconds, parse_shard_size, parse_size
from safe_load.sources import globs

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Role = Literal["read", "approve"]
_Count = Annotated[int, msgspec.Meta(ge=1, le=1_000_000)]

_LARGEST = 1 << 20  # bytes
#: Characters. A shorter one can be guessed from its digest.
_SHORTEST_TOKEN, _LONGEST_TOKEN = 20, 500
_URL = re.compile(r"https?://[A-Za-z0-9.:\[\]-]{1,255}(?:/[A-Za-z0-9._~/-]{0,200})?")
_DATABASE = re.compile(r"postgres(?:ql)?://[\x21-\x7e]{0,1000}")
#: Everybody whom the gateway knows, in a rule's list of users.
EVERYBODY = "*"


class User(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="kebab"):
    """Somebody who has a token of the gateway's. token_sha256: of the token, in hex."""

    name: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][\w.@-]{0,63}$")]
    token_sha256: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
    roles: tuple[Role, ...] = ("read",)


class Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="kebab"):
    """What holds for the models whose name matches; the first rule that matches counts.

    allow: whether they are served at all. token: whether the gateway shows the hub its own token for them, which may
    open private ones. users: who may read them; None: whoever may read anything.
    """

    match: str
    allow: bool = True
    token: bool = False
    users: tuple[str, ...] | None = None


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="kebab"):
    """queue: models that wait at a time. wait: seconds that a request waits for a model before it is told to come
    again. connections: at a time; further ones get 503. attempts: of one model whose sandbox broke. free: bytes of the disk below which no
    model is opened. kept: bytes of cleared files on this machine, None for any number."""

    queue: _Count = 1000
    wait: Annotated[float, msgspec.Meta(ge=0, le=60)] = 6.0
    connections: _Count = 12_000
    attempts: _Count = 3
    free: str = "1GiB"
    kept: str | None = None


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="kebab"):
    """The file as it stands. Keys of the top are also flags of the command, which win."""

    upstream: str | None = None
    data: str | None = None
    host: str = "127.0.0.1"
    port: Annotated[int, msgspec.Meta(ge=0, le=65535)] = 8080
    url: str | None = None
    token_file: str | None = None
    workers: Annotated[int, msgspec.Meta(ge=1, le=256)] = 1
    on: str | None = None
    store: str | None = None
    content: str | None = None
    records: str | None = None
    anonymous: bool = True
    names_for: str = "10m"
    others: Literal["refuse", "redirect"] = "refuse"
    load: dict[str, Any] = {}
    limits: Limits = Limits()
    users: tuple[User, ...] = ()
    models: tuple[Rule, ...] = ()


@dataclass(frozen=True)
class Settings:
    """What one gateway goes by.

    upstream: the hub's address. data: the folder that holds everything. url: the gateway's own address as clients
    spell it, None: as each request says. token: for the hub. names_for: seconds that a name stands for the
    same commit. others: what datasets and spaces are answered with. load: the options of every load. on: the fleet that
    opens models, None for this machine; store: where that fleet's files lie. content: the store that keeps cleared folders and reports, None for the data folder; kept: as in Limits. records: the
    PostgreSQL database of several gateways, None for SQLite.
    """

    upstream: str
    data: Path
    host: str
    port: int
    url: str | None
    token: str | None = field(repr=False)
    workers: int
    on: str | None
    store: str | None
    content: str | None
    kept: int | None
    records: str | None = field(repr=False)
    anonymous: bool
    names_for: float
    others: Literal["refuse", "redirect"]
    load: OptionsDict
    limits: Limits
    free: int
    users: tuple[User, ...]
    models: tuple[Rule, ...]

    def user_of(self, token: str | None) -> User | None:
        """Whose token it is, None where nobody's."""
        if token is None or not _SHORTEST_TOKEN <= len(token) <= _LONGEST_TOKEN:
            return None
        digest = hashlib.sha256(token.encode("utf-8", "backslashreplace")).hexdigest()
        found = None
        for user in self.users:  # all of them, so that the time tells nothing
            if hmac.compare_digest(user.token_sha256, digest):
                found = user
        return found

    def rule_of(self, repo: str) -> Rule:
        """The first rule that matches a repository's name, else one that allows it."""
        for rule in self.models:
            if globs.compiled(rule.match.lower()).fullmatch(repo.lower()):  # a hub ignores case
                return rule
        return Rule("**")

    def audience(self, repo: str) -> tuple[object, ...]:
        """What the rules say of a repository, apart from its name: whether, how and for whom it is served."""
        rule = self.rule_of(repo)
        return rule.allow, rule.token, None if rule.users is None else sorted(rule.users)

    def may_read(self, user: User | None, repo: str) -> bool:
        """Whether that user, or somebody unknown, may have models of this name, cleared ones."""
        if not (
            self.anonymous if user is None else "read" in user.roles or "approve" in user.roles
        ):
            return False
        named = self.rule_of(repo).users
        return named is None or (user is not None and (EVERYBODY in named or user.name in named))

    def token_for(self, repo: str) -> str | Literal[False]:
        """What the hub is shown for a repository; False: nothing, so that only what is public comes."""
        return self.token if self.token is not None and self.rule_of(repo).token else False


def read(path: Path | None, given: Mapping[str, Any]) -> Settings:
    """The settings of a file, changed by the flags that were given.

    Args:
        path: A TOML file, or None for none.
        given: Keys of the top of the file; None: not given.

    Raises:
        UsageError: Names the file and the key, and what would be right.
    """
    where = "safe-load serve" if path is None else str(path)
    table = {} if path is None else _table(path)
    table |= {key: value for key, value in given.items() if value is not None}
    try:
        file = typed.convert(table, _File)
    except msgspec.ValidationError as error:
        raise UsageError(f"{where}: {visible(str(error))}") from None
    try:
        if (
            path is not None
            and path.stat().st_mode & 0o077
            and file.records
            and urlsplit(file.records).password
        ):
            raise UsageError(
                "records holds a password, and others can read this file: run chmod 600 on it"
            )
        return _checked(file)
    except (UsageError, ValueError, OSError) as error:
        raise UsageError(f"{where}: {error}") from None


def _table(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as stream:
            data = stream.read(_LARGEST + 1)
        if len(data) > _LARGEST:
            raise UsageError(f"{path} is larger than 1 MiB, the limit for a configuration file")
        return tomllib.loads(data.decode("utf-8"))
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path} is not TOML: {error}") from error


def _checked(file: _File) -> Settings:
    if file.upstream is None or file.data is None:
        missing = "upstream" if file.upstream is None else "data"
        raise UsageError(
            f"{missing} is missing: give --{missing}, or the key {missing} in the file"
        )
    for name, address in (("upstream", file.upstream), ("url", file.url)):
        if address is not None and not _URL.fullmatch(address):
            raise UsageError(f"{name}: {address!r} is not an address, e.g. https://hub.example")
    names = [user.name for user in file.users]
    if len(set(names)) != len(names) or len({each.token_sha256 for each in file.users}) != len(
        names
    ):
        raise UsageError("users: two of them have the same name or the same token")
    if file.store is not None and file.on is None:
        raise UsageError("store says where the files of a fleet lie: name one with on")
    if file.records is not None and not _DATABASE.fullmatch(file.records):
        raise UsageError("records is no database: write postgresql://USER@HOST/DATABASE")
    if file.records is not None and file.content is None:
        raise UsageError(
            "records: gateways that share them need one place for cleared files: name it with content"
        )
    if file.on == "ray://local":
        raise UsageError(
            "on: ray://local is a cluster of one command; leave it out, and set workers"
        )
    for rule in file.models:
        _check_rule(rule, names)
    if not file.anonymous and not file.users:
        raise UsageError("anonymous = false, and there are no users: nobody could read anything")
    return Settings(
        upstream=file.upstream.rstrip("/"),
        data=Path(file.data).absolute(),
        host=file.host,
        port=file.port,
        url=file.url and file.url.rstrip("/"),
        token=_token(file.token_file),
        workers=file.workers,
        on=file.on,
        store=file.store,
        content=file.content,
        records=file.records,
        kept=None if file.limits.kept is None else parse_size(file.limits.kept),
        anonymous=file.anonymous,
        names_for=parse_seconds(file.names_for),
        others=file.others,
        load=_load(file.load),
        limits=file.limits,
        free=parse_size(file.limits.free),
        users=file.users,
        models=file.models,
    )


def _check_rule(rule: Rule, names: list[str]) -> None:
    globs.compiled(rule.match)
    for name in rule.users or ():
        if name != EVERYBODY and name not in names:
            raise UsageError(f"models: {rule.match!r} names {visible(name)!r}, who is not in users")
    if rule.token and rule.users is None:
        raise UsageError(
            f"models: {rule.match!r} has token = true, which may open private models, and no users: name those who may "
            'read them, or write users = ["*"] for everybody with a token of the gateway'
        )


def _token(file: str | None) -> str | None:
    if file is None:
        return None
    path = Path(file)
    if path.stat().st_mode & 0o077:
        raise UsageError(f"token-file: {path} can be read by others: run chmod 600 on it")
    token = path.read_text("ascii").strip()
    if not re.fullmatch(r"[\x21-\x7e]{1,500}", token):
        raise UsageError(f"token-file: {path} does not hold one token")
    return token


_PARSERS: dict[str, Callable[[str], object]] = {
    "timeout": parse_seconds,
    "memory": parse_size,
    "max-shard-size": parse_shard_size,
}
#: The options of `load` that a gateway's file may set.
_LOAD = (
    "profile", "depth", "fail-on", "timeout", "memory", "backend", "runtime", "image", "all-files", "dtype",
    "max-shard-size", "keep", "names", "quantised", "trust", "require-signature", "require-publisher", "publishers",
)  # fmt: skip


def _load(table: Mapping[str, Any]) -> OptionsDict:
    """The options of every load. What lets rejected models out is not among them."""
    chosen: dict[str, Any] = {"hash": True, "hash_export": True}
    for key, value in table.items():
        if key not in _LOAD:
            raise UsageError(
                f"load has the unknown key {visible(key)!r}; the keys are {', '.join(_LOAD)}"
            )
        name = key.replace("-", "_")
        value = tuple(value) if isinstance(value, list) else value  # noqa: PLW2901
        try:
            parse = _PARSERS.get(key)
            chosen[name] = checked(
                name, parse(value) if parse and isinstance(value, str) else value
            )
        except ValueError as error:
            raise UsageError(f"load.{key}: {error}") from None
    if chosen.get("fail_on") == "never":
        raise UsageError(
            "load.fail-on: 'never' would serve what was rejected; use low, medium, high or critical"
        )
    options: OptionsDict = chosen  # type: ignore[assignment]
    Options(**options)
    return options
