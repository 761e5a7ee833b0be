"""One report in the form that its reader needs: a person, a program, a CI system, a browser.

Zone: controller, but every string in a report may come from a model. What a reader could take for
an instruction is made visible by `escape` before it leaves this folder. Imports only the report.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from safe_load.render.interface import Format, View

#: name -> the class, imported when it is asked for: rich alone costs as much as `--help` may take.
FORMATS = {
    "human": "safe_load.render.human:Human",
    "json": "safe_load.render.json:Json",
    "sarif": "safe_load.render.sarif:Sarif",
    "junit": "safe_load.render.junit:JUnit",
    "gitlab": "safe_load.render.gitlab:GitLab",
    "html": "safe_load.render.html:Html",
    "cyclonedx": "safe_load.render.cyclonedx:CycloneDx",
    "markdown": "safe_load.render.markdown:Markdown",
}


def get(name: str, view: View | None = None) -> Format:
    """The format of that name. Raises KeyError for one that is not in FORMATS."""
    module, _, attribute = FORMATS[name].partition(":")
    return cast("Format", getattr(import_module(module), attribute)(view))
