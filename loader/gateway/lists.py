"""Whether a cleared model is on a list of known malicious ones that was imported since.

Zone: controller. A verdict is not given again for a new list: the digests of the files that were opened are in the
manifest of each cleared folder, and are looked up once for each state of the lists.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import TYPE_CHECKING

from safe_load.advisories import judge, store
from safe_load.export import manifest
from safe_load.provenance import origin

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from safe_load.gateway.content import ContentStore
    from safe_load.gateway.records import File, Model
    from safe_load.gateway.store import Store

#: Models whose answers are remembered.
_MOST = 100_000
_ID = "SL708"


class Lists:
    """Asked for each model that is served. bring: has a file on this machine."""

    def __init__(
        self, records: Store, content: ContentStore, bring: Callable[[File], Awaitable[None]]
    ) -> None:
        self._records, self._content, self._bring = records, content, bring
        self._state: tuple[int, ...] = ()
        self._told: OrderedDict[tuple[int, str], str] = OrderedDict()

    async def why(self, model: Model) -> str:
        """Why a cleared model is not to be served, "" where nothing is known. Raises Refusal, OSError."""
        state = store.stamp()
        if state != self._state:
            self._state = state
            self._told.clear()
        if not state or model.content is None:
            return ""
        key = model.id, model.content
        if key not in self._told:
            told = await self._asked(model, model.content)
            if store.stamp() != state:
                return told
            self._told[key] = told
            while len(self._told) > _MOST:
                self._told.popitem(last=False)
        return self._told[key]

    async def _asked(self, model: Model, content: str) -> str:
        file = self._records.file(content, manifest.NAME)
        if file is None:
            return ""
        await self._bring(file)
        # What an approver has accepted of this model does not count, as in the load that cleared it.
        accepted = {row[1] for row in self._records.findings(model.id) if row[0] == _ID and row[5]}

        def ask() -> str:
            with self._content.open(content, file) as opened:
                made = manifest.decode(opened.readall())
            names = () if accepted else origin.names(model.repo, made.source)
            digests = {
                each.path: each.sha256 for each in made.sources if each.sha256 not in accepted
            }
            found = judge.judge(digests, *names)[1]
            return found[0].detail if found else ""

        return await asyncio.to_thread(ask)
