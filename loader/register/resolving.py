"""The exact commit, version or digest of a link that floats: the hub, the registries and git are asked, each once a name.

Zone: controller. Offline, only what this machine has already is looked at, and who was not asked is told.
"""

from __future__ import annotations

import os
import re
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

from safe_load.advisories import versions
from safe_load.core.errors import LimitHit, NotLoadable, UsageError
from safe_load.register import images

if TYPE_CHECKING:
    from safe_load.register.registry import Registry
    from safe_load.register.rows import Reference

_MOST = 500
_SECONDS = 30
_LARGEST = 1 << 20
_REFERENCE = re.compile(r"(?!-)[\w./+-]{1,200}")
#: Whom a link of this ecosystem is asked of.
ASKED = {
    "hub": "the hub",
    "pypi": "pip's index",
    "npm": "npm's registry",
    "oci": "the images' registries",
    "git": "the repositories",
    "github": "the repositories",
}


@dataclass(frozen=True)
class Answer:
    """exact: "" where there is none, and why. failed: somebody was asked and did not answer, or does not know the name."""

    exact: str = ""
    why: str = ""
    failed: bool = False


class Resolver:
    """Use one for a project. offline: ask nobody."""

    def __init__(self, registry: Registry, *, offline: bool = False) -> None:
        self._registry, self._offline = registry, offline
        self._held: dict[tuple[str, ...], Answer] = {}
        self.not_asked: dict[str, int] = {}

    def exact(self, each: Reference, line: str) -> Answer:
        """What pins a link. line: where it stands: of a repository, it holds the address."""
        address = _repository(each, line) if each.ecosystem in {"git", "github"} else ""
        key = (each.ecosystem, each.name, each.value or "", address)
        if key not in self._held:
            if len(self._held) >= _MOST:
                return Answer(why=f"{_MOST} names were asked for: the rest was not")
            self._held[key] = self._asked(each, address)
        found = self._held[key]
        if not found.exact and self._offline and each.ecosystem in ASKED:
            whom = ASKED[each.ecosystem]
            self.not_asked[whom] = self.not_asked.get(whom, 0) + 1
        return found

    def _asked(self, each: Reference, address: str) -> Answer:
        try:
            if each.ecosystem == "hub":
                return Answer(_commit(each.name, each.value or "main", offline=self._offline))
            if each.ecosystem == "oci":
                return Answer(images.digest_of(each.name, each.value, offline=self._offline))
            if each.ecosystem in {"git", "github"}:
                return Answer(_git(address, each.value, offline=self._offline))
            if each.ecosystem in {"pypi", "npm"}:
                return Answer(self._version(each))
        except (NotLoadable, LimitHit, UsageError) as error:
            return Answer(why=str(error), failed=not self._offline)
        return Answer(why="" if each.ecosystem != "conda" else "conda's channels are not asked")

    def _version(self, each: Reference) -> str:
        answer = self._registry.ask(each.ecosystem, each.name)
        if not answer.asked:
            raise NotLoadable(f"{each.name}: {answer.why}")
        if each.value in {None, "latest", "*"}:
            found = answer.newest
        else:
            fit = [v for v in answer.versions if versions.satisfies(each.ecosystem, each.value, v)]
            found = versions.newest(each.ecosystem, fit) or answer.newest
        if not found:
            raise NotLoadable("no registry gives a version of it")
        return found


def _commit(repo: str, revision: str, *, offline: bool) -> str:
    from safe_load.sources import hub  # noqa: PLC0415 (starts a process of its own)

    return hub.commit_of(hub.named(repo, revision), offline=offline)


def _repository(each: Reference, line: str) -> str:
    """The address of a repository that a line names; "" where it names none that may be asked."""
    text = line.partition(f'"{each.name}"')[2] or line  # of package.json, behind its key
    if found := re.search(rf"https?://[\w.:-]+/(?:[\w./-]+/)?{re.escape(each.name)}", text):
        return found[0].removesuffix(".git")
    if found := re.search(r"\bgit\b.*?(https?://[\w.:-]+/[\w.-]+/[\w.-]*\w)", text):
        return found[1].removesuffix(".git")
    named = re.search(r"github:([\w.-]+/[\w.-]+)", text)
    name = named[1] if named else each.name
    return f"https://github.com/{name}" if "/" in name and "://" not in name else ""


def _git(address: str, reference: str | None, *, offline: bool) -> str:
    """The commit that a branch or tag of a repository is now. Raises NotLoadable."""
    if offline:
        raise NotLoadable("its repository was not asked")
    here = re.match(r"http://(?:localhost|127\.0\.0\.1)[:/]", address)
    if not address or not (address.startswith("https://") or here):
        raise NotLoadable("its repository has no https:// address in this line")
    if reference is not None and not _REFERENCE.fullmatch(reference):
        raise NotLoadable("that is no branch and no tag")
    safe = ["-c", "protocol.allow=never", "-c", "protocol.https.allow=always"]
    safe += ["-c", "protocol.http.allow=always"] if here else []
    wanted = [reference, f"{reference}^{{}}"] if reference else ["HEAD"]
    environment = os.environ | {"GIT_TERMINAL_PROMPT": "0", "GIT_ASKPASS": "true"}
    try:
        # Not in the project's folder: its own .git/config does not say how git works here.
        with subprocess.Popen(
            ["git", *safe, "ls-remote", "--", address, *wanted],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd="/",
            env=environment,
        ) as process:
            try:
                told = process.communicate(timeout=_SECONDS)[0][:_LARGEST].decode(
                    "ascii", "replace"
                )
            except subprocess.TimeoutExpired:
                process.kill()
                raise NotLoadable("its repository does not answer") from None
    except OSError as error:
        raise NotLoadable(f"git cannot be started: {error.strerror}") from None
    lines = [line.partition("\t") for line in told.splitlines()]
    held = {name: commit for commit, _, name in lines}
    for name in (f"refs/tags/{reference}^{{}}", f"refs/tags/{reference}", f"refs/heads/{reference}", "HEAD"):  # fmt: skip
        if re.fullmatch(r"[0-9a-f]{40}", held.get(name, "")):
            return held[name]
    raise NotLoadable(f"its repository has no {reference or 'HEAD'}, or cannot be reached")
