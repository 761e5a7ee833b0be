"""Libraries: requirements, and the commands that install them. Only those that touch models become rows, unless they
come from a place of their own (a repository, a link, a further index)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from safe_load.register import found, names, servers
from safe_load.register.rows import Fact, Reference

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_INDEX = re.compile(
    r"(--extra-index-url|--index-url|-i|--find-links|-f|--trusted-host|--index|--default-index)(?:[=\s]+)(\S+)"
)
_HASH = re.compile(r"--hash[=\s]+sha(?:256|384|512):[0-9a-f]{64,128}\b")
_LONGEST = 4000


def requirement(text: str, line: int, lock: str = "") -> Iterator[Reference]:
    """One requirement of Python: PEP 508, with pip's options behind it."""
    text = re.split(r"(?:^|\s)#", text[:_LONGEST])[0].strip()
    hashed = bool(_HASH.search(text))
    bare = re.sub(r"\s--?[a-z-]+[=\s].*", "", text).strip().rstrip("\\").strip()
    if not bare or bare.startswith("-"):
        return
    if re.match(r"(?:git\+|hg\+|https?:)", bare):
        yield from _direct("", bare, line)
        return
    try:
        parsed = Requirement(bare)
    except (InvalidRequirement, RecursionError):
        return
    if parsed.url:
        yield from _direct(parsed.name, parsed.url, line)
        return
    name = canonicalize_name(parsed.name)
    specifiers = sorted(map(str, parsed.specifier))
    exact = [each for each in specifiers if each.startswith("==") and not each.endswith("*")]
    exact = exact or [each for each in specifiers if each.startswith("===")]
    if exact:
        version = exact[0].lstrip("=").strip()
        facts = (
            (Fact("hash", "with its hash"),)
            if hashed
            else (Fact("no-hash", "an exact version, without a hash"),)
        )
        yield Reference("library", name, line, "pinned", version, "pypi", "", facts)
        return
    value = ",".join(specifiers) or None
    yield Reference(
        "library", name, line, "floating", value, "pypi", f"{name}=={'VERSION'}", (), lock=lock
    )


def _direct(name: str, url: str, line: int) -> Iterator[Reference]:
    """A requirement by URL: a commit or a hash pins it."""
    bare, _, fragment = url.partition("#")
    facts = [
        Fact("source", "installed from a repository or a link, not from the index"),
        *names.url_facts(bare),
    ]
    if git := re.match(
        r"(?:git|hg)\+[a-z]+://\S+?/([\w.-]+/[\w.-]+?)(?:\.git)?(?:@([^@\s/][^@\s]*))?$", bare
    ):
        state = names.commit_state(git[2])
        fix = "" if state == "pinned" else f"{names.masked(re.sub(r'@[^@/]*$', '', bare))}@COMMIT"
        egg = re.search(r"egg=([\w.-]+)", fragment)
        named = name or (egg[1] if egg else git[1])
        yield Reference(
            "library",
            canonicalize_name(named) if named != git[1] else named,
            line,
            state,
            git[2],
            "git",
            fix,
            tuple(facts),
        )
        return
    digest = re.search(r"sha256=([0-9a-f]{64})", fragment)
    named = name or names.masked(bare.rpartition("/")[2] or bare)
    state_, value = ("pinned", f"sha256:{digest[1]}") if digest else ("floating", None)
    fix = "" if digest else f"{names.masked(bare)}#sha256=DIGEST"
    yield Reference(
        "library",
        named,
        line,
        "pinned" if state_ == "pinned" else "floating",
        value,
        "url",
        fix,
        tuple(facts),
    )
    yield from found.host(bare, line)


def index(url: str, line: int, extra: bool) -> Iterator[Reference]:
    """An index of packages. extra: pip asks it beside another, and takes the higher version of either."""
    url = url.strip("\"'")
    if names.url_of(url) is None:
        return
    told = (
        Fact("extra-index", "a further package index: the higher version wins, whoever uploaded it")
        if extra
        else Fact("index", "a package index")
    )
    at = names.Host(url)
    fix = f"--index-url {names.masked(url)}  # alone, or pin each package's index" if extra else ""
    if any(fact.code == "link-key" for fact in at.facts):
        fix = "take the user name and password out of the URL, change them, and keep them in a keyring or netrc"
    yield Reference("host", at.name, line, "unknown", None, "url", fix, (told, *at.facts))


def indexes(text: str, line: int) -> Iterator[Reference]:
    """The index options of a line of pip's or uv's."""
    for option, value in _INDEX.findall(text[:_LONGEST]):
        if option == "--trusted-host":
            told = Fact("plain", "--trusted-host: its certificate is not checked")
            yield Reference(
                "host",
                value.lower()[:200],
                line,
                "unknown",
                None,
                "url",
                "remove --trusted-host",
                (told,),
            )
        elif option not in {"-f", "--find-links"} or names.url_of(value):
            yield from index(
                value.rpartition("=")[2]
                if option == "--index" and not value.startswith("http")
                else value,
                line,
                option in {"--extra-index-url", "--index"},
            )


def install(program: str, rest: Sequence[str], line: int) -> Iterator[Reference]:
    """pip install, uv pip install, uv add, pipx install, conda install, npm install and the like."""
    words = list(rest)
    if re.fullmatch(r"python[\d.]*|py", program) and words[:2] == ["-m", "pip"]:
        program, words = "pip", words[2:]
    if words[:1] == ["pip"]:
        program, words = "pip", words[1:]
    if (
        re.fullmatch(r"pip[\d.]*|uv|poetry|pipx|conda|mamba|micromamba", program)
        and words[:1]
        and words[0] in {"install", "add", "download", "wheel"}
    ):
        yield from indexes(" ".join(words), line)
        yield from _python(words[1:], line)
    elif (
        program in {"npm", "yarn", "pnpm", "bun"}
        and words[:1]
        and words[0] in {"install", "i", "add"}
    ):
        for word in words[1:]:
            if not word.startswith("-"):
                yield from npm_package(word, line)


def beside(words: Sequence[str], line: int) -> Iterator[Reference]:
    """What `uv run --with PACKAGE` and `uvx --with PACKAGE` install beside a program."""
    if words[:2] == ["uv", "run"] or words[:1] == ["uvx"]:
        for number, word in enumerate(words[:-1]):
            if word == "--with":
                for each in words[number + 1].split(","):
                    yield from requirement(each, line)


_TAKES = frozenset({"-r", "--requirement", "-c", "--constraint", "-i", "--index-url", "--extra-index-url", "-f", "--find-links", "--trusted-host", "-t", "--target", "--prefix", "-e", "--editable", "--index", "--default-index", "-n", "--python", "--extra", "--group", "--torch-backend", "--platform", "--root", "--timeout", "-p", "--cache-dir"})  # fmt: skip


def _python(words: Sequence[str], line: int) -> Iterator[Reference]:
    skip = False
    for word in words:
        if skip:
            skip = False
        elif word.startswith("-"):
            skip = word in _TAKES
        elif (not names.is_local(word) and not word.endswith((".txt", ".whl", "]"))) or "[" in word:
            yield from requirement(word, line)


def npm_package(
    word: str, line: int, lock: str = "", version: str | None = None
) -> Iterator[Reference]:
    """A package of npm by its name, and the range behind "@" or of package.json."""
    spec = word if version is None else f"{word}@{version}"
    alias = re.fullmatch(r"npm:(.+)", version or "")
    if alias:
        spec = alias[1]
    elif version is not None and (
        re.match(r"(?:git|https?|github:|file:|link:|workspace:)", version)
        or re.fullmatch(r"[\w.-]+/[\w.-]+(?:#.*)?", version)
    ):
        if version.startswith(("file:", "link:", "workspace:")):
            return
        spec = version
    name, ecosystem, state, value, fix, facts = servers.pinned_package("npm", spec)
    if not name:
        return
    if ecosystem != "npm":
        name = word if version is not None else name
    yield Reference(
        "library",
        name,
        line,
        state,
        value,
        ecosystem,
        fix,
        tuple(facts),
        lock=lock if state != "pinned" else "",
    )
