"""The image's bill of materials is CycloneDX, and the same for the same contents."""

from __future__ import annotations

import json
from importlib import metadata

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from images import sbom


def components() -> list[sbom.Component]:
    ours = sbom.python(metadata.distribution("safe-load"))
    ours["properties"] = [{"name": "safe-load.code", "value": "abc"}]
    return [
        sbom.debian("libstdc++6", "12.2.0-14+deb12u1", "amd64", "bookworm", "0" * 64),
        sbom.python(metadata.distribution("huggingface_hub")),
        ours,
    ]


def test_the_bill_is_valid_and_names_every_component_with_what_is_known_of_it() -> None:
    data = sbom.document("safe-load", "0.1.0", components(), 0)
    if (error := JsonStrictValidator(SchemaVersion.V1_5).validate_str(data.decode())) is not None:
        pytest.fail(str(error))
    bill = json.loads(data)
    assert bill["metadata"]["timestamp"] == "1970-01-01T00:00:00+00:00"
    deb, hub, ours = sorted(bill["components"], key=lambda each: str(each["purl"]))
    assert deb["purl"].startswith("pkg:deb/debian/libstdc%2B%2B6@12.2.0-14%2Bdeb12u1?arch=amd64")
    assert deb["hashes"] == [{"alg": "SHA-256", "content": "0" * 64}]
    assert hub["purl"].startswith("pkg:pypi/huggingface-hub@")
    assert ours["licenses"] == [{"expression": "Apache-2.0"}]
    assert ours["properties"] == [{"name": "safe-load.code", "value": "abc"}]


def test_the_order_in_which_components_come_changes_nothing() -> None:
    listed = components()
    first = sbom.document("safe-load", "0.1.0", listed, 5)
    assert sbom.document("safe-load", "0.1.0", listed[::-1], 5) == first


def test_a_bill_of_other_contents_has_another_serial_number() -> None:
    listed = components()
    serials = {
        json.loads(sbom.document("safe-load", "0.1.0", given, epoch))["serialNumber"]
        for given, epoch in ((listed, 0), (listed[1:], 0), (listed, 1))
    }
    assert len(serials) == 3
