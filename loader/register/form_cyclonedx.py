"""The register as a CycloneDX 1.7 bill of materials: models, libraries and images as components, hosts, tools and MCP
servers as services."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from safe_load.core.errors import UsageError
from safe_load.core.escape import visible
from safe_load.core.version import version
from safe_load.register.names import url_of

if TYPE_CHECKING:
    from safe_load.register.rows import Chain, Row

_SPACE = uuid.UUID("6c1f9f2e-4a0b-5f3c-9d43-0d6c1a52b7aa")


def render(chain: Chain) -> bytes:
    """The document. The same register gives the same document, but for the time in it. Raises UsageError."""
    try:
        from cyclonedx.model.bom import Bom  # noqa: PLC0415 (an extra)
        from cyclonedx.output import make_outputter  # noqa: PLC0415
        from cyclonedx.schema import OutputFormat, SchemaVersion  # noqa: PLC0415
    except ImportError:
        raise UsageError(
            "CycloneDX needs cyclonedx-python-lib: pip install 'safe-load[register]'"
        ) from None
    bom = Bom()
    bom.serial_number = uuid.uuid5(_SPACE, "\n".join(_reference(row) for row in chain.rows))
    bom.metadata.tools.components.add(_tool())
    for row in chain.rows:
        if row.kind == "host" or (row.kind == "tool" and not _is_image(row)):
            bom.services.add(_service(row))
        else:
            bom.components.add(_component(row))
    text = make_outputter(bom, OutputFormat.JSON, SchemaVersion.V1_7).output_as_string(indent=2)
    return (text + "\n").encode("utf-8", "backslashreplace")


def _reference(row: Row) -> str:
    return visible(f"{row.kind}:{row.name}@{row.pin.value or row.pin.state}", 500)


def _is_image(row: Row) -> bool:
    return "a container image" in row.reasons


def _properties(row: Row) -> list[Any]:
    from cyclonedx.model import Property  # noqa: PLC0415

    told = [("pin", row.pin.state), ("known", str(row.known).lower()), ("rank", str(row.rank))]
    told += [("reason", reason) for reason in row.reasons]
    told += [("where", f"{place.path}:{place.line}") for place in row.where[:20]]
    told += [("fix", row.fix)] if row.fix else []
    return [
        Property(name=f"safe-load:chain:{name}", value=visible(value, 500)) for name, value in told
    ]


def _tool() -> Any:
    from cyclonedx.model.component import Component, ComponentType  # noqa: PLC0415

    return Component(name="safe-load", version=version(), type=ComponentType.APPLICATION)


def _supplier(row: Row) -> Any:
    from cyclonedx.model.contact import OrganizationalEntity  # noqa: PLC0415

    return OrganizationalEntity(name=visible(row.publisher, 200)) if row.publisher else None


def _component(row: Row) -> Any:
    from cyclonedx.model.component import Component, ComponentType  # noqa: PLC0415

    kind = ComponentType.LIBRARY
    if row.kind == "model":
        kind = ComponentType.MACHINE_LEARNING_MODEL
    elif row.kind == "tool":
        kind = ComponentType.CONTAINER
    return Component(
        name=visible(row.name, 400),
        version=visible(row.pin.value, 200) if row.pin.value else None,
        type=kind,
        bom_ref=_reference(row),
        supplier=_supplier(row),
        purl=_purl(row),
        properties=_properties(row),
    )


def _purl(row: Row) -> Any:
    """The package URL where the name has one (purl-spec: huggingface, pypi, npm, oci)."""
    from packageurl import PackageURL  # noqa: PLC0415

    pinned = row.pin.value if row.pin.state == "pinned" else None
    space, slash, name = row.name.rpartition("/")
    try:
        if row.kind == "model" and (slash and ":" not in row.name and "<" not in row.name):
            return PackageURL("huggingface", space, name, pinned)
        if row.kind == "tool":
            return PackageURL("docker", space or None, name, pinned)
        if row.kind == "library" and not slash and "<" not in row.name:
            npm = any(place.path.endswith("package.json") for place in row.where)
            return PackageURL("npm" if npm else "pypi", None, row.name, pinned)
        if row.kind == "library" and space.startswith("@"):
            return PackageURL("npm", space, name, pinned)
    except ValueError:
        return None
    return None


def _service(row: Row) -> Any:
    from cyclonedx.model import XsUri  # noqa: PLC0415
    from cyclonedx.model.service import Service  # noqa: PLC0415

    url = url_of(row.name) or (f"https://{row.name}" if row.kind == "host" else None)
    return Service(
        name=visible(row.name, 400),
        version=visible(row.pin.value, 200) if row.pin.value else None,
        bom_ref=_reference(row),
        provider=_supplier(row),
        endpoints=[XsUri(url)] if url and url_of(url) and "<" not in url else None,
        properties=_properties(row),
    )
