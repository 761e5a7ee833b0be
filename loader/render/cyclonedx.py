"""The model as a bill of materials: CycloneDX 1.7 as JSON, written by cyclonedx-python-lib.

Each source is a component of the type machine-learning-model. Its license, datasets and base models are what its card says.
cyclonedx-python-lib has no model card of its own, so datasets are components of the type data that the model depends on.
"""

from __future__ import annotations

import re
import uuid
from datetime import datetime
from typing import TYPE_CHECKING, Any

from safe_load.core.escape import visible
from safe_load.core.installed import need
from safe_load.core.version import version
from safe_load.render.interface import Format

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from safe_load.core.report import FileInfo, Report

EXTRA = "safe-load[bom]"
_NAMESPACE = uuid.UUID("0d5b8e0f-7f8c-5d1a-9a53-2f0f5c1f6f1e")
_HUB = "hf://"
_REPOSITORY = re.compile(r"([\w][\w.-]{0,95})/([\w][\w.-]{0,95})", re.ASCII)
#: What lies beside a model and speaks of it: name of the file -> kind of reference.
_BESIDE = {
    "safe-load.intoto.jsonl": "ATTESTATION",
    "model.sig": "DIGITAL_SIGNATURE",
    "README.md": "MODEL_CARD",
}


class CycloneDx(Format):
    """A bill with a component for each source."""

    name = "cyclonedx"

    def render(self, reports: Sequence[Report]) -> bytes:
        need("cyclonedx", EXTRA)
        from cyclonedx.model.bom import Bom  # noqa: PLC0415 (an extra)
        from cyclonedx.model.component import Component, ComponentType  # noqa: PLC0415
        from cyclonedx.output.json import JsonV1Dot7  # noqa: PLC0415

        bom = Bom(serial_number=uuid.uuid5(_NAMESPACE, _told(reports)))
        bom.metadata.tools.components.add(
            Component(name="safe-load", version=version(), type=ComponentType.APPLICATION)
        )
        times = [each for report in reports if (each := _time(report.started)) is not None]
        if times:
            bom.metadata.timestamp = max(times)
        for number, report in enumerate(reports, 1):
            model, datasets = _model(report, number), list(_datasets(report, number))
            bom.components.add(model)
            bom.components.update(datasets)
            bom.register_dependency(model, datasets)
        text = JsonV1Dot7(bom).output_as_string(indent=2)
        return (text + "\n").encode("utf-8", "backslashreplace")


def _told(reports: Sequence[Report]) -> str:
    """What tells one bill from another: the sources, when they were opened, and their files."""
    lines = [
        f"{report.source.path} {report.source.revision} {report.started} {report.outcome} {files}"
        for report in reports
        for files in [[(file.path, file.sha256) for file in report.files]]
    ]
    return "\n".join(visible(line, 1 << 20) for line in lines)


def _model(report: Report, number: int) -> Any:
    from cyclonedx.model.component import Component, ComponentType, Pedigree  # noqa: PLC0415
    from cyclonedx.model.contact import OrganizationalEntity  # noqa: PLC0415

    group, name, revision = _named(report)
    bases = [_base(each, f"{number}:base:{at}") for at, each in enumerate(_base_models(report))]
    alone = len(report.files) == 1
    return Component(
        type=ComponentType.MACHINE_LEARNING_MODEL,
        name=name,
        group=group,
        version=revision,
        bom_ref=f"{number}:model",
        purl=_purl(group, name, revision) if report.source.path.startswith(_HUB) else None,
        supplier=OrganizationalEntity(name=group) if group else None,
        hashes=_hashes(report.files[0]) if alone else None,
        licenses=_licenses(report),
        pedigree=Pedigree(ancestors=bases) if bases else None,
        components=[_file(each, f"{number}:file:{at}") for at, each in enumerate(report.files)],
        external_references=list(_references(report)),
        properties=list(_properties(report)),
    )


def _named(report: Report) -> tuple[str | None, str, str | None]:
    """Publisher, name and revision. Of a local source, its own name alone."""
    path, revision = report.source.path, report.source.revision
    if path.startswith(_HUB):
        repository = path.removeprefix(_HUB).partition("@")[0]
        group, slash, name = repository.partition("/")
        if slash:
            return visible(group, 200), visible(name, 200), revision and visible(revision, 100)
    name = path.rstrip("/").rpartition("/")[2] or path
    return None, visible(name, 200), revision and visible(revision, 100)


def _purl(group: str | None, name: str, revision: str | None) -> Any:
    """As purl-spec has it for the type huggingface: the version is the commit."""
    from packageurl import PackageURL  # noqa: PLC0415

    try:
        return PackageURL("huggingface", group, name, revision and revision.lower())
    except ValueError:
        return None


def _base_models(report: Report) -> list[str]:
    """As the card says, else as the hub does: it keeps them of the card."""
    if report.card is not None and report.card.base_models:
        return report.card.base_models
    return report.source.hub.base_models if report.source.hub else []


def _base(name: str, reference: str) -> Any:
    from cyclonedx.model.component import Component, ComponentType  # noqa: PLC0415

    match = _REPOSITORY.fullmatch(name)
    return Component(
        type=ComponentType.MACHINE_LEARNING_MODEL,
        name=match[2] if match else visible(name, 200),
        group=match[1] if match else None,
        bom_ref=reference,
        purl=_purl(match[1], match[2], None) if match else None,
    )


def _datasets(report: Report, number: int) -> Iterator[Any]:
    from cyclonedx.model.component import Component, ComponentType  # noqa: PLC0415

    for at, each in enumerate(report.card.datasets if report.card else []):
        yield Component(
            type=ComponentType.DATA, name=visible(each, 200), bom_ref=f"{number}:data:{at}"
        )


def _licenses(report: Report) -> list[Any]:
    """As the card says them: an id of SPDX where it is one, else a name."""
    from cyclonedx.contrib.license.factories import LicenseFactory  # noqa: PLC0415
    from cyclonedx.model.license import DisjunctiveLicense  # noqa: PLC0415

    card = report.card
    if card is None:
        return []
    make = LicenseFactory()
    named = (
        card.license_names if card.licenses == ["other"] and card.license_names else card.licenses
    )
    found = []
    for each in dict.fromkeys(visible(each, 200) for each in named if each):
        try:
            found.append(make.make_with_id(each))
        except Exception:  # noqa: BLE001 - whatever the library thinks of a hostile name, it is a name
            found.append(DisjunctiveLicense(name=each))
    return found


def _file(file: FileInfo, reference: str) -> Any:
    from cyclonedx.model import Property  # noqa: PLC0415
    from cyclonedx.model.component import Component, ComponentType  # noqa: PLC0415

    told = {"format": file.format, "state": file.state, "size": str(file.size)}
    return Component(
        type=ComponentType.FILE,
        name=visible(file.path, 500),
        bom_ref=reference,
        hashes=_hashes(file),
        properties=[
            Property(name=f"safe-load:{key}", value=visible(value, 200))
            for key, value in told.items()
        ],
    )


def _hashes(file: FileInfo) -> list[Any] | None:
    from cyclonedx.model import HashAlgorithm, HashType  # noqa: PLC0415

    if file.sha256 is None or not re.fullmatch("[0-9a-f]{64}", file.sha256):
        return None
    return [HashType(alg=HashAlgorithm.SHA_256, content=file.sha256)]


def _references(report: Report) -> Iterator[Any]:
    """The attestation, the signature and the card, where they lie beside the files."""
    from cyclonedx.model import ExternalReference, ExternalReferenceType, XsUri  # noqa: PLC0415

    for file in report.files:
        if (kind := _BESIDE.get(file.path)) is not None:
            yield ExternalReference(
                type=ExternalReferenceType[kind], url=XsUri(file.path), hashes=_hashes(file)
            )


def _properties(report: Report) -> Iterator[Any]:
    from cyclonedx.model import Property  # noqa: PLC0415

    told = [
        ("verdict", report.verdict),
        ("outcome", report.outcome),
        ("opened", report.started),
        ("parameters", str(report.tensors.parameters)),
    ]
    if report.signature is not None:
        told.append(
            ("signature", f"{report.signature.state} {report.signature.signer or ''}".strip())
        )
    told += [
        (f"finding:{each.id}", f"{each.severity}: {each.title}: {each.detail}")
        for each in report.findings
    ]
    for name, value in told:
        yield Property(name=f"safe-load:{name}", value=visible(value, 1000))


def _time(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None
