"""The image's bill of materials: CycloneDX 1.5 as JSON, the same for the same contents.

It lists what was put together: Debian packages and Python distributions. Libraries that a wheel
brings along inside (numpy's OpenBLAS, torch's OpenMP) are part of that distribution. cyclonedx-python-lib
writes it; a layer keeps its components as that library writes them.
"""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from cyclonedx.model import HashAlgorithm, HashType
from cyclonedx.model.bom import Bom, BomMetaData
from cyclonedx.model.component import Component as Part
from cyclonedx.model.component import ComponentType
from cyclonedx.model.license import LicenseExpression
from cyclonedx.output.json import JsonV1Dot5
from packageurl import PackageURL

if TYPE_CHECKING:
    from collections.abc import Iterable
    from importlib.metadata import Distribution

    #: One entry of `components`, as CycloneDX has it in JSON: what a layer keeps.
    Component = dict[str, Any]

INSIDE = "usr/share/safe-load/sbom.cdx.json"
_NAMESPACE = uuid.UUID("6f3ad2c6-5d0f-5c1e-9b0c-0c8f2e1f6a57")


def debian(name: str, version: str, architecture: str, release: str, sha256: str) -> Component:
    """A Debian package; sha256: of the .deb that it was unpacked from."""
    where = {"arch": architecture, "distro": release}
    purl = PackageURL("deb", "debian", name, version, qualifiers=where)
    return _entry(purl, name, version, hashes=[HashType(alg=HashAlgorithm.SHA_256, content=sha256)])


def python(distribution: Distribution) -> Component:
    """An installed Python distribution."""
    name, version = distribution.metadata["Name"], distribution.version
    metadata = distribution.metadata
    # Not `get`: the type that Python gives metadata has none.
    licensed = metadata["License-Expression"] if "License-Expression" in metadata else ""  # noqa: SIM401
    return _entry(
        PackageURL("pypi", None, name, version),
        name,
        version,
        licenses=[LicenseExpression(licensed)] if licensed else [],
    )


def document(name: str, version: str, components: Iterable[Component], epoch: int) -> bytes:
    """The bill of an image, as JSON.

    Args:
        name: The image's name, without a tag.
        version: Its version.
        components: What its layers hold, in any order.
        epoch: When it was made, in seconds since 1970.

    Returns:
        The same bytes for the same arguments: the serial number follows from what is listed.
    """
    listed = sorted(components, key=lambda component: str(component["purl"]))
    contents = json.dumps([name, version, epoch, listed], sort_keys=True)
    image = Part(type=ComponentType.CONTAINER, name=name, version=version, bom_ref=name)
    parts = [Part.from_json(component) for component in listed]  # type: ignore[attr-defined]
    bill = Bom(
        serial_number=uuid.uuid5(_NAMESPACE, contents),
        metadata=BomMetaData(component=image, timestamp=datetime.fromtimestamp(epoch, UTC)),
        components=parts,
    )
    bill.register_dependency(image, parts)
    return JsonV1Dot5(bill).output_as_string(indent=1).encode() + b"\n"


def _entry(purl: PackageURL, name: str, version: str, **more: Any) -> Component:
    part = Part(name=name, version=version, purl=purl, bom_ref=purl.to_string(), **more)
    written = json.loads(JsonV1Dot5(Bom(components=[part])).output_as_string())
    (entry,) = written["components"]
    return dict(entry)
