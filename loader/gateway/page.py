"""The gateway's pages for people: the queue and the verdicts, one model, its report, exceptions, the audit log.

Zone: controller. No script, no file from elsewhere. Everything that a model, a hub or a client wrote goes through
`visible` and is escaped by the template. A report is a page of its own, which a browser shows in a sandbox.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from base64 import b64encode
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

import msgspec
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from safe_load.core.errors import UsageError
from safe_load.core.escape import visible
from safe_load.core.exceptions import Accepted
from safe_load.core.report import decode
from safe_load.core.units import format_size
from safe_load.gateway import address
from safe_load.gateway.access import Forms, may_approve
from safe_load.gateway.answers import HEADERS, Pieces
from safe_load.gateway.records import STATES
from safe_load.gateway.refusal import Refusal
from safe_load.gateway.sending import Sending
from safe_load.gateway.store import PAGE
from starlette.concurrency import run_in_threadpool
from starlette.responses import RedirectResponse, Response

if TYPE_CHECKING:
    from safe_load.gateway.content import ContentStore
    from safe_load.gateway.records import Model
    from safe_load.gateway.service import Service
    from safe_load.gateway.settings import User
    from starlette.requests import Request

_TEMPLATES = Path(__file__).with_name("templates")
_STYLE = (_TEMPLATES / "style.css").read_text("utf-8")
_STYLE_HASH = b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
_POLICY = f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
#: The report's own policy (render/html.py) is narrower still; a browser keeps to both.
_REPORT_POLICY = "sandbox; default-src 'none'; style-src 'unsafe-inline'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
_MAX_BODY = 16 << 10
#: Reports that are sent at a time, and that are rendered.
_MOST_REPORTS, _RENDERED = 16, 2
#: Pages of rows that are looked through for one page of those that a user may see.
_MOST_LOOKED = 5
_NUMBER = re.compile(r"\d{1,15}")


class Pages:
    """Answers for every path below /-/."""

    def __init__(self, service: Service, forms: Forms) -> None:
        self._service = service
        self._forms = forms
        # A report may be large, and is held until its client has it.
        self._reports, self._rendering = Sending(_MOST_REPORTS), asyncio.Semaphore(_RENDERED)
        self._templates = Environment(
            loader=FileSystemLoader(_TEMPLATES), autoescape=True, undefined=StrictUndefined,
            trim_blocks=True, lstrip_blocks=True,
        )  # fmt: skip
        self._templates.filters |= {"v": _shown, "when": _when, "size": format_size}
        self._templates.globals |= {"style": _STYLE, "states": STATES}

    async def answer(self, request: Request, user: User | None) -> Response:
        """The page at the request's path."""
        if user is None and (
            not self._service.settings.anonymous or request.scope["path"] == "/-/log-in"
        ):
            return self._log_in()
        try:
            found = address.parts((request.scope.get("raw_path") or b"").rstrip(b"/"))
            if found is None:
                raise Refusal(404, "", "there is no such page")
            return await self._chosen(request, user, found[1:])
        except Refusal as refusal:
            return self._page("refusal", user, refusal.status, sentence=refusal.sentence)

    async def _chosen(self, request: Request, user: User | None, parts: list[str]) -> Response:
        if request.method == "POST":
            return await self._change(request, user, parts)
        match parts:
            case []:
                return self._models(request, user)
            case ["log-in"]:
                return RedirectResponse("/-/", 303, HEADERS)
            case ["model", number] if _NUMBER.fullmatch(number):
                return self._model(user, int(number))
            case ["report", number] if _NUMBER.fullmatch(number):
                return await self._report(user, int(number))
            case ["exceptions"] if may_approve(user):
                rows = self._service.store.exceptions(ended=True)
                return self._page("exceptions", user, rows=rows)
            case ["audit"] if may_approve(user):
                below = request.query_params.get("below", "")
                rows = self._service.store.audit(int(below) if _NUMBER.fullmatch(below) else None)
                return self._page("audit", user, rows=rows)
        raise Refusal(404, "", "there is no such page")

    def _models(self, request: Request, user: User | None) -> Response:
        text = request.query_params.get("q", "")[:200]
        state = request.query_params.get("state", "")
        below = request.query_params.get("below", "")
        at = int(below) if _NUMBER.fullmatch(below) else None
        rows: list[Model] = []
        for _ in range(_MOST_LOOKED):
            found = self._service.store.search(text, state, at)
            rows += [each for each in found if self._service.settings.may_read(user, each.repo)]
            at = found[-1].id if len(found) == PAGE else None
            if rows or at is None:
                break
        following = at if rows and at is not None else None
        return self._page(
            "models", user, rows=rows, q=text, state=state if state in STATES else "", below=following,
            counts=self._service.store.counts(), stopped=self._service.queue.stopped, kept=self._service.content.kept,
        )  # fmt: skip

    def _model(self, user: User | None, number: int) -> Response:
        model = self._readable(user, number)
        files = (
            self._service.store.files(model.content)
            if model.content and model.state == "cleared"
            else []
        )
        return self._page(
            "model", user, model=model, files=files, findings=self._service.store.findings(model.id),
            current=model.policy == self._service.policy,
        )  # fmt: skip

    async def _report(self, user: User | None, number: int) -> Response:
        model = self._readable(user, number)
        if model.report is None:
            raise Refusal(404, "", "there is no report of this model")
        if self._reports.full():
            raise Refusal(503, "", "the gateway shows too many reports at present", 10)
        with ExitStack() as ending:
            ending.enter_context(self._reports.one())
            async with self._rendering:
                body = await run_in_threadpool(_rendered, self._service.content, model.report)
            headers = {**HEADERS, "Content-Security-Policy": _REPORT_POLICY}
            return Pieces(body, headers, "text/html; charset=utf-8", ending.pop_all())

    async def _change(self, request: Request, user: User | None, parts: list[str]) -> Response:
        """A form of an approver's."""
        if user is None or not may_approve(user):
            raise Refusal(403, "", "only users with the role approve may do this")
        body = await self._service.bodies.read(request, _MAX_BODY)
        given = {
            key: values[0] for key, values in parse_qs(body.decode("utf-8", "replace")).items()
        }
        if not self._forms.is_own(request, user, given.get("form", "")):
            raise Refusal(
                403, "", "the form is too old, or does not come from this page: load the page again"
            )
        store, number = self._service.store, given.get("number", "")
        ident = int(number) if _NUMBER.fullmatch(number) else 0
        match parts:
            case ["accept"]:
                model = self._readable(user, ident)
                if (given.get("finding"), given.get("sha256")) not in {
                    each[:2] for each in store.findings(ident)
                }:
                    raise Refusal(400, "", "this model has no such finding")
                accepted = _accepted(given)
                store.accept(
                    accepted.finding,
                    accepted.sha256,
                    accepted.reason,
                    str(accepted.until),
                    user.name,
                )
                self._service.queue.wake()
                return RedirectResponse(f"/-/model/{model.id}", 303, HEADERS)
            case ["expire"]:
                store.expire(ident, user.name)
                self._service.queue.wake()
                return RedirectResponse("/-/exceptions", 303, HEADERS)
            case ["again"]:
                model = self._readable(user, ident)
                if model.policy != self._service.policy:
                    raise Refusal(
                        400, "", "the policy has changed since: ask for the model by its name"
                    )
                self._service.queue.again(model.id, user.name)
                return RedirectResponse(f"/-/model/{model.id}", 303, HEADERS)
        raise Refusal(404, "", "there is no such form")

    def _readable(self, user: User | None, number: int) -> Model:
        model = self._service.store.by_id(number)
        if model is None or not self._service.settings.may_read(user, model.repo):
            raise Refusal(404, "", "there is no such model for you")
        return model

    def _page(self, name: str, user: User | None, status: int = 200, **values: Any) -> Response:
        form = self._forms.token(user) if user is not None and may_approve(user) else None
        text = self._templates.get_template(f"{name}.html").render(user=user, form=form, **values)
        headers = {**HEADERS, "Content-Security-Policy": _POLICY, "Referrer-Policy": "same-origin"}
        return Response(
            text.encode("utf-8", "backslashreplace"), status, headers, "text/html; charset=utf-8"
        )

    def _log_in(self) -> Response:
        answer = self._page(
            "refusal", None, 401, sentence="Log in with your name and your token of this gateway."
        )
        answer.headers["WWW-Authenticate"] = 'Basic realm="safe-load", charset="UTF-8"'
        return answer


def _accepted(given: dict[str, str]) -> Accepted:
    try:
        until = datetime.strptime(given.get("until", ""), "%Y-%m-%d").replace(tzinfo=UTC).date()
        accepted = Accepted(
            given.get("finding", ""), given.get("sha256", ""), given.get("reason", ""), until
        )
    except (UsageError, ValueError) as error:
        raise Refusal(400, "", f"the exception is not complete: {error}") from None
    if not accepted.holds:
        raise Refusal(400, "", "the exception would have ended already")
    return accepted


def _rendered(content: ContentStore, name: str) -> bytes:
    from safe_load.render import html  # noqa: PLC0415 - only for who reads a report

    try:
        return html.Html().render([decode(content.report(name))])
    except (OSError, msgspec.DecodeError) as error:
        raise Refusal(404, "", "the report of this model cannot be read") from error


def _shown(text: object, longest: int = 300) -> str:
    return visible(str(text), longest)


def _when(at: float | None) -> str:
    return "" if at is None else datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S")
