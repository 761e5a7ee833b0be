"""References in Python code and notebooks: calls that load models, clients of hosts, MCP servers, constants."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING

from safe_load.register import (
    calls,
    commands,
    found,
    names,
    pairs,
    python_dicts,
    python_servers,
    rows,
)
from safe_load.register.calls import CALLS, Call
from safe_load.register.rows import Fact, Reference
from safe_load.register.scopes import called, keyword_of
from safe_load.register.syntax import Module

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from safe_load.register.scopes import Scope

_UNSEEN = re.compile(r"\s+")
#: Libraries whose clients call a provider: there a keyword `model` names a hosted one.
_FETCHES = frozenset(
    "post get put stream request urlretrieve urlopen connect download download_url_to_file cached_download".split()
)
#: Names of calls that load, or make a client: their first argument may be a model's name.
#: Calls that declare a setting's default: whoever loads it is elsewhere.
_DECLARES = frozenset({"Field", "PrivateAttr"})
_LOADS = re.compile(r"[A-Z]|load|from_|create_model|get_model|download|fetch|pull|init_")
#: Keywords whose dict goes on to the call that loads.
_BRINGS = (None, "model_kwargs", "hub_kwargs")
_CREDENTIAL = re.compile(r"(?i)(?:api_?key|token|secret|password)$")


def read(
    text: str,
    path: str,
    importer: Callable[[str, int, str], Module | None] | None = None,
) -> list[Reference]:
    """The references of one file. Raises SyntaxError, RecursionError, ValueError and MemoryError, as ast does."""
    return of_module(Module(ast.parse(text), path, importer), text)


def of_module(module: Module, text: str) -> list[Reference]:
    """The references of a file that was parsed; text: what it was parsed from."""
    module.renew()
    return list(_Reader(module, text).references())


class _Reader:
    def __init__(self, module: Module, text: str) -> None:
        self._module = module
        self._text = text
        self._used: set[str] = set()

    def references(self) -> Iterator[Reference]:
        for call, scope in self._module.calls:
            yield from self._call(call, scope)
        yield from self._constants()

    def _call(self, call: ast.Call, scope: Scope) -> Iterator[Reference]:
        name = called(call)
        if name == "partial" and call.args:
            function = call.args[0]
            inner = ast.Call(func=function, args=call.args[1:], keywords=call.keywords)
            yield from self._call(ast.copy_location(inner, call), scope)
            return
        if name in calls.DATA:
            return
        if isinstance(call.func, ast.Name):
            made = self._partial(call, scope)
            if made is not None:
                call, name = made, called(made)
        # `from transformers import pipeline as pl`: the table has the name that was imported.
        imported = (
            self._module.origin(call.func).rpartition(".")[2]
            if isinstance(call.func, ast.Name)
            else ""
        )
        name = imported if imported in CALLS else name
        entry = self._entry(call, name)
        if entry is not None:
            yield from self._model(call, scope, name, entry)
        else:
            yield from self._keywords(call, scope)
        yield from self._beside(call, scope)
        yield from self._hosts(call, scope)
        yield from python_servers.of_call(self._module, call, scope, name)
        yield from python_dicts.of_call(self._module, call, scope)

    def _partial(self, call: ast.Call, scope: Scope) -> ast.Call | None:
        """A call of what functools.partial made, with the arguments of both."""
        for held, _ in self._module.values(call.func, scope):
            if isinstance(held, ast.Call) and called(held) == "partial" and held.args:
                own = {keyword.arg for keyword in call.keywords}
                keywords = [*call.keywords, *(k for k in held.keywords if k.arg not in own)]
                whole = ast.Call(
                    func=held.args[0], args=[*held.args[1:], *call.args], keywords=keywords
                )
                return ast.copy_location(whole, call)
        return None

    def _entry(self, call: ast.Call, name: str) -> Call | None:
        origin = self._module.origin(call.func)
        for entry in CALLS.get(name, ()):
            if not entry.of:
                return entry
            if entry.what == "torch":
                if origin in {"torch.hub.load"}:
                    return entry
            elif origin and origin.split(".")[0] in {each.split(".")[0] for each in entry.of}:
                return entry
        return None

    def _model(self, call: ast.Call, scope: Scope, name: str, entry: Call) -> Iterator[Reference]:
        if self._kind_of(call, scope, "repo_type") in {"dataset", "space"}:
            return
        at = entry.at
        if name == "from_pretrained" and isinstance(call.func, ast.Attribute):
            base = call.func.value
            at += isinstance(base, ast.Name) and base.id in calls.SECOND and len(call.args) > 1
        node = self._argument(call, scope, at, entry.words)
        if node is None:
            if name == "pipeline" and call.args:
                task = ", ".join(self._module.texts(call.args[0], scope)[:1]) or "a task"
                yield found.default_of(task, call.lineno)
            return
        facts = self._facts(call, scope)
        pin = self._keyword(call, scope, entry.revision) if entry.revision else None
        unset = self._revisions(call, scope, entry.revision)[0] if pin is None else (None, True)
        loaded = pairs.pairs(self._module, scope, node, pin, unset)
        if not loaded:
            yield self._computed(call, node, facts)
        for text, (revision, known) in dict.fromkeys(loaded):
            self._used.add(text)
            if entry.what == "named":
                yield from found.named(text, call.lineno)
                continue
            if entry.what == "ollama":
                yield from found.from_ollama(text, call.lineno)
                continue
            if entry.what == "service" and names.url_of(text) is not None:
                yield from found.host(text, call.lineno, facts)
                continue
            yield from found.model(
                text, call.lineno, revision, known=known, what=entry.what, facts=facts,
                fix=_fix(call, name, entry), local=name != "hf_hub_download",
                call=_place(call, pin, entry, len(loaded)),
            )  # fmt: skip

    def _computed(self, call: ast.Call, node: ast.expr, facts: tuple[Fact, ...]) -> Reference:
        source = _UNSEEN.sub(" ", _segment(self._text, node))[:80]
        told = Fact("computed", "the name is known only when the program runs")
        return Reference(
            "model",
            f"<{names.masked(source)}>",
            call.lineno,
            "unknown",
            None,
            "",
            "",
            (told, *facts),
        )

    def _argument(
        self, call: ast.Call, scope: Scope, at: int, words: tuple[str, ...]
    ) -> ast.expr | None:
        for word in words:
            if (value := self._keyword(call, scope, word)) is not None:
                return value
        if 0 <= at < len(call.args):
            return call.args[at]
        return None

    def _keyword(self, call: ast.Call, scope: Scope, word: str) -> ast.expr | None:
        """A keyword argument, also one that a dict brings: **OPTIONS, model_kwargs={...}."""
        value = keyword_of(call, word)
        if value is not None:
            return value
        for keyword in call.keywords:
            if keyword.arg in _BRINGS:
                for held, _ in self._module.values(keyword.value, scope):
                    if isinstance(held, ast.Dict):
                        for key, each in zip(held.keys, held.values, strict=True):
                            if isinstance(key, ast.Constant) and key.value == word:
                                return each
        return None

    def _kind_of(self, call: ast.Call, scope: Scope, word: str) -> str:
        node = self._keyword(call, scope, word)
        return next(iter(self._module.texts(node, scope)), "") if node is not None else ""

    def _revisions(self, call: ast.Call, scope: Scope, word: str) -> list[tuple[str | None, bool]]:
        """(revision, whether it is known) for each that the call may pass."""
        if not word:
            return [(None, True)]
        node = self._keyword(call, scope, word)
        if node is None:
            open_ = any(
                keyword.arg is None
                and not any(
                    isinstance(v, ast.Dict) for v, _ in self._module.values(keyword.value, scope)
                )
                for keyword in call.keywords
            )
            return [(None, not open_)]
        values = self._module.constants(node, scope)
        pins = [(value if isinstance(value, str) else None, True) for value in values]
        return list(dict.fromkeys(pins)) or [(None, False)]

    def _facts(self, call: ast.Call, scope: Scope) -> tuple[Fact, ...]:
        node = self._keyword(call, scope, "trust_remote_code")
        if node is None or self._module.constants(node, scope) in ([False], [None]):
            return ()
        return (Fact("remote-code", "trust_remote_code: code of the repository is run"),)

    def _keywords(self, call: ast.Call, scope: Scope) -> Iterator[Reference]:
        """`model="..."` and the like of a call that the table does not know."""
        for keyword in call.keywords:
            if keyword.arg is None or not calls.names_model(keyword.arg):
                continue
            for text in self._module.texts(keyword.value, scope):
                if names.is_local(text):
                    continue
                for revision, known in self._revisions(call, scope, "revision"):
                    fix = f'{keyword.arg}="{text}", revision="COMMIT"'
                    told = list(
                        found.named(text, keyword.value.lineno, revision, known=known, fix=fix)
                    )
                    self._used.update([text] if told else [])
                    yield from told
        if call.args and _LOADS.match(called(call)) and not self._own(call, scope):
            if called(call) in _DECLARES:
                return
            for text in self._module.texts(call.args[0], scope):
                revision, known = self._revisions(call, scope, "revision")[0]
                told = list(
                    found.named(
                        text,
                        call.lineno,
                        revision,
                        known=known,
                        strict=True,
                        fix=_fix(call, called(call), Call()).replace("NAME", text),
                    )
                )
                self._used.update([text] if told else [])
                yield from told

    def _own(self, call: ast.Call, scope: Scope) -> bool:
        """Whether a function of this file is called: what it does with its argument is read there."""
        held = scope.find(call.func.id) if isinstance(call.func, ast.Name) else []
        return any(isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) for node, _ in held)

    def _beside(self, call: ast.Call, scope: Scope) -> Iterator[Reference]:
        name = called(call)
        if name not in CALLS:
            return
        for word, pin in calls.BESIDE.items():
            node = keyword_of(call, word)
            if node is None:
                continue
            for text in self._module.texts(node, scope):
                if names.is_hub_name(text):
                    self._used.add(text)
                    for revision, known in self._revisions(call, scope, pin):
                        yield from found.model(
                            text,
                            node.lineno,
                            revision,
                            known=known,
                            fix=f'{pin or "revision"}="COMMIT"',
                        )

    def _hosts(self, call: ast.Call, scope: Scope) -> Iterator[Reference]:
        given = [self._credential(k) for k in call.keywords if k.arg and _CREDENTIAL.search(k.arg)]
        for keyword in call.keywords:
            if keyword.arg and calls.names_host(keyword.arg):
                for text in self._module.texts(keyword.value, scope):
                    self._used.add(text)
                    yield from found.host(text, keyword.value.lineno, given)
        if called(call) in _FETCHES:
            for argument in call.args[:2]:
                for text in self._module.texts(argument, scope):
                    if names.url_of(text):
                        self._used.add(text)
                        yield from found.link(text, call.lineno)

    def _credential(self, keyword: ast.keyword) -> Fact:
        """The name of the variable that a key is read from; of a key in the code, that it is there."""
        for node in ast.walk(keyword.value):
            if (
                isinstance(node, ast.Constant)
                and isinstance(node.value, str)
                and re.fullmatch(r"[A-Z][A-Z0-9_]{2,80}", node.value)
            ):
                return Fact("credential", node.value)
        literal = isinstance(keyword.value, ast.Constant) and isinstance(keyword.value.value, str)
        if literal and len(keyword.value.value) >= 16:  # type: ignore[attr-defined]
            return Fact("link-key", f"{keyword.arg} is written in the code")
        return Fact("credential", str(keyword.arg))

    def _constants(self) -> Iterator[Reference]:
        """Names that only stand in constants, fields and defaults: whoever uses them is in another file."""
        held = [*self._module.top.names.items(), *self._module.fields.items()]
        for word, expressions in held:
            model, host = calls.names_model(word), calls.names_host(word)
            if not model and not host:
                continue
            for node, scope in expressions:
                if isinstance(node, ast.Dict | ast.List | ast.Tuple):
                    each = [*getattr(node, "values", getattr(node, "elts", []))][:200]
                else:
                    each = [node]
                for one in each:
                    for text in self._module.texts(one, scope):
                        if text in self._used:
                            continue
                        line = getattr(one, "lineno", 1)
                        if model:
                            yield from found.named(text, line, weak=True, strict=True)
                        if host and names.url_of(text):
                            yield from found.host(text, line)


def _segment(text: str, node: ast.expr) -> str:
    lines = text.split("\n")
    at, end = node.lineno - 1, (node.end_lineno or node.lineno) - 1
    if end != at:
        return lines[at].encode()[node.col_offset :].decode("utf-8", "replace")
    return lines[at].encode()[node.col_offset : node.end_col_offset].decode("utf-8", "replace")


def _place(call: ast.Call, pin: ast.expr | None, entry: Call, names_: int) -> rows.Call:
    """Where the call's revision stands, or would: one call with one name, and a revision that is a text or none."""
    unknown = rows.Call(call.lineno, 0, 0, "")
    if names_ != 1 or not entry.revision:
        return unknown
    if isinstance(pin, ast.Constant) and pin.end_col_offset and pin.end_lineno == pin.lineno:
        return rows.Call(pin.lineno, pin.col_offset, pin.end_col_offset, "PIN")
    text = f"{entry.revision}=PIN"
    at: ast.expr = call
    if entry.inside:
        given = keyword_of(call, entry.inside)
        at = call if given is None else given
        pair = f'"{entry.revision}": PIN'
        text = pair if isinstance(given, ast.Dict) else f"{entry.inside}={{{pair}}}"
    if (
        pin is not None
        or not isinstance(at, ast.Call | ast.Dict)
        or (entry.inside and at is not call and isinstance(at, ast.Call))
    ):
        return unknown
    if not at.end_lineno or not at.end_col_offset:
        return unknown
    return rows.Call(at.end_lineno, at.end_col_offset - 1, at.end_col_offset - 1, text)


def _fix(call: ast.Call, name: str, entry: Call) -> str:
    """The call as it should stand; NAME and COMMIT are filled in later."""
    if not entry.revision:
        return ""
    base = ""
    if isinstance(call.func, ast.Attribute) and isinstance(call.func.value, ast.Name):
        base = f"{call.func.value.id}."
    if entry.inside:
        return f'{base}{name}("NAME", {entry.inside}={{"{entry.revision}": "COMMIT"}})'
    return f'{base}{name}("NAME", {entry.revision}="COMMIT")'


commands.CODE.append(lambda code: read(code, "", lambda *_: None))
