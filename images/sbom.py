"""The image's bill of materials: CycloneDX 1.5 as JSON, the same for the same contents.

It lists what was put together: Debian packages and Python distributions. Libraries that a wheel
brings along inside (numpy's OpenBLAS, torch's OpenMP) are part of that distribution.
"""

from __future__ import annotations

import json
import uuid
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

if TYPE_CHECKING:
    from collections.abc import Iterable
    from importlib.metadata import Distribution

    #: One entry of `components`, as CycloneDX has it.
    Component = dict[str, Any]

INSIDE = "usr/share/safe-load/sbom.cdx.json"
_NAMESPACE = uuid.UUID("6f3ad2c6-5d0f-5c1e-9b0c-0c8f2e1f6a57")


def debian(name: str, version: str, architecture: str, release: str, sha256: str) -> Component:
    """A Debian package; sha256: of the .deb that it was unpacked from."""
    where = f"arch={architecture}&distro={release}"
    purl = f"pkg:deb/debian/{quote(name, safe='+')}@{quote(version, safe='')}?{where}"
    return {
        **_library(name, version, purl),
        "hashes": [{"alg": "SHA-256", "content": sha256}],
    }


def python(distribution: Distribution) -> Component:
    """An installed Python distribution."""
    name, version = distribution.metadata["Name"], distribution.version
    purl = f"pkg:pypi/{quote(name.lower().replace('_', '-'))}@{quote(version, safe='')}"
    component = _library(name, version, purl)
    if "License-Expression" in distribution.metadata:
        component["licenses"] = [{"expression": distribution.metadata["License-Expression"]}]
    return component


def document(name: str, version: str, components: Iterable[Component]) -> bytes:
    """The bill of an image."""
    listed = sorted(components, key=lambda component: str(component["purl"]))
    image = {"bom-ref": name, "type": "container", "name": name, "version": version}
    bill: dict[str, Any] = {"metadata": {"component": image}, "components": listed}
    serial = uuid.uuid5(_NAMESPACE, json.dumps(bill, sort_keys=True))
    head = {
        "$schema": "http://cyclonedx.org/schema/bom-1.5.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "serialNumber": f"urn:uuid:{serial}",
        "version": 1,
    }
    return json.dumps(head | bill, indent=1).encode() + b"\n"


def _library(name: str, version: str, purl: str) -> Component:
    return {"bom-ref": purl, "type": "library", "name": name, "version": version, "purl": purl}
