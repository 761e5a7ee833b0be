"""The room in which everything that lies beside the weights is read and written anew.

Zone: controller. It needs the standard library alone and starts at once, beside the others; only
where another room converts a tokenizer does it wait for that. What it wrote is checked in its form here.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from safe_load.core.errors import NotLoadable, SafeLoadError, SandboxError
from safe_load.rewrite import canonical, results, selection
from safe_load.rewrite.results import Configuration
from safe_load.sandbox.backends.interface import Bind, Job
from safe_load.worker.rewrite import folder_files

if TYPE_CHECKING:
    from collections.abc import Mapping

    from safe_load.export.staging import Staging
    from safe_load.rooms.conversion import Made
    from safe_load.sandbox.backends.interface import RoomResult
    from safe_load.sources.inventory import Inventory

ENTRY = "safe_load.worker.rewrite.main:main"
#: Shown to the room, and imported there only where there is a template.
DISTRIBUTIONS = ("jinja2",)
_MODEL = "/model"
#: Where the room sees what another room made of a tokenizer.
_CONVERTED = f"{_MODEL}/.safe-load.converted"
_OUTPUT = "safe-load.rewriting"
_LIMIT = 512 << 20


@dataclass(frozen=True)
class Rewritten:
    """configuration: what came of it; room: how it ended, None when there was nothing to read;
    error: why what it said cannot be relied on."""

    configuration: Configuration = field(default_factory=Configuration)
    room: RoomResult | None = None
    error: SafeLoadError | None = None

    def require_read(self) -> None:
        """Raises NotLoadable where the model's own configuration does not read."""
        if self.configuration.error is not None:
            raise NotLoadable(self.configuration.error)


class Rewriting:
    """What a room shall write anew. staging: where what it writes is kept until `read`; None where
    nothing is exported, and the files are only judged."""

    def __init__(self, inventory: Inventory, staging: Staging | None) -> None:
        self.files = selection.to_read(inventory)
        self._python = selection.python_beside(inventory) if self.files else []
        self._staging = staging
        self._places = tuple(entry.place for entry in inventory.entries)
        self._folders = {folder_files.place_of(entry.path)[0] for entry in self.files}

    def job(self, converted: Mapping[str, Mapping[str, Made]]) -> Job:
        """The job. converted: by folder, the files that a room made of its tokenizer."""
        binds = [Bind(each.place, f"{_MODEL}/{each.path}", each.identity) for each in self.files]
        places: dict[str, dict[str, str]] = {}
        for number, (folder, made) in enumerate(converted.items()):
            places[folder] = {name: f"{_CONVERTED}/{number}/{name}" for name in made}
            binds += [
                Bind(file.place, places[folder][name], file.identity) for name, file in made.items()
            ]
            self._folders.add(folder)
        outputs = () if self._staging is None else (self._staging.open_output(_OUTPUT),)
        argument: dict[str, Any] = {
            "files": [[each.path, f"{_MODEL}/{each.path}", each.size] for each in self.files],
            "python": self._python,
            "converted": places,
        }
        return Job(
            name="rewrite",
            entry=ENTRY,
            argument=argument,
            distributions=DISTRIBUTIONS,
            files=tuple(binds),
            outputs=outputs,
            output_limit=_LIMIT if outputs else 0,
            alike=self._places,
        )

    def read(self, room: RoomResult) -> Rewritten:
        """What the room said and wrote, typed and checked. Its worker is dead."""
        try:
            if room.status != "ok":
                return Rewritten(room=room)
            said = results.read(room.value)
            return Rewritten(results.configuration(said, self._written(said)), room)
        except ValueError as error:
            return Rewritten(room=room, error=SandboxError(str(error)))
        except SafeLoadError as error:
            return Rewritten(room=room, error=error)
        finally:
            if self._staging is not None:
                self._staging.discard(_OUTPUT)

    def _written(self, said: results.Said) -> dict[str, bytes]:
        """The new files by their names. Raises SandboxError for what no worker of ours writes."""
        if self._staging is None:
            return {}
        output = self._staging.output(_OUTPUT)
        sizes = [size for _, size in said.files]
        if sum(sizes) != os.fstat(output).st_size:
            raise SandboxError("the sizes of the rewrite room's files differ from its result")
        if max(sizes, default=0) > canonical.MAX_BYTES:
            raise SandboxError("a file of the rewrite room exceeds the size limit")
        files: dict[str, bytes] = {}
        begin = 0
        for name, size in said.files:
            if name in files:
                raise SandboxError("the rewrite room lists one file twice")
            files[name] = canonical.check(name, os.pread(output, size, begin), self._folders)
            begin += size
        return files
