"""The bill of materials is strictly valid CycloneDX 1.7, whatever a model says of itself."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from hypothesis import given, settings
from hypothesis import strategies as st
from safe_load import render
from safe_load.core.card import Card
from safe_load.core.report import FileInfo, Finding, Report

from tests.unit import reports

COMMIT = "4e1c1d2f9f" * 4
CARD = Card(
    licenses=["apache-2.0"],
    datasets=["acme/corpus", "wiki"],
    base_models=["example/base-7b", "a model of ours"],
)
BESIDE = [
    FileInfo("model.sig", 10, "ef" * 32, "json", "data"),
    FileInfo("safe-load.intoto.jsonl", 10, "01" * 32, "json", "data"),
    FileInfo("README.md", 10, None, "text", "data"),
]


def hub(**changed: Any) -> Report:
    report = reports.clean("hf://acme/bert-tiny@main")
    source = msgspec.structs.replace(report.source, revision=COMMIT)
    changed = {"source": source, "card": CARD, "files": [*report.files, *BESIDE]} | changed
    return msgspec.structs.replace(report, **changed)


def bill(*given_reports: Report) -> dict[str, Any]:
    """The document, once it was found valid."""
    text = render.get("cyclonedx").render(list(given_reports)).decode()
    if (error := JsonStrictValidator(SchemaVersion.V1_7).validate_str(text)) is not None:
        pytest.fail(str(error))
    return dict(json.loads(text))


def model_of(document: dict[str, Any]) -> dict[str, Any]:
    (found,) = (each for each in document["components"] if each["type"] == "machine-learning-model")
    return dict(found)


def test_a_hubs_model_has_its_purl_supplier_hashes_license_datasets_and_ancestors() -> None:
    document = bill(hub())
    assert document["specVersion"] == "1.7"
    model = model_of(document)
    assert model["purl"] == f"pkg:huggingface/acme/bert-tiny@{COMMIT}"
    assert (model["group"], model["name"], model["version"]) == ("acme", "bert-tiny", COMMIT)
    assert model["supplier"] == {"name": "acme"}
    assert model["licenses"] == [{"license": {"id": "Apache-2.0"}}]
    files = {each["name"]: each.get("hashes") for each in model["components"]}
    assert files["config.json"] == [{"alg": "SHA-256", "content": "ab" * 32}]
    assert files["README.md"] is None
    bases = {each["name"]: each.get("purl") for each in model["pedigree"]["ancestors"]}
    assert bases == {"base-7b": "pkg:huggingface/example/base-7b", "a model of ours": None}
    data = {
        each["bom-ref"]: each["name"] for each in document["components"] if each["type"] == "data"
    }
    assert set(data.values()) == {"acme/corpus", "wiki"}
    (needs,) = (each for each in document["dependencies"] if each["ref"] == model["bom-ref"])
    assert set(needs["dependsOn"]) == data.keys()


def test_attestation_signature_and_card_are_references_and_findings_properties() -> None:
    model = model_of(bill(hub(findings=reports.malicious().findings)))
    references = {each["type"]: each for each in model["externalReferences"]}
    assert references["attestation"]["url"] == "safe-load.intoto.jsonl"
    assert references["attestation"]["hashes"] == [{"alg": "SHA-256", "content": "01" * 32}]
    assert references["digital-signature"]["url"] == "model.sig"
    assert references["model-card"]["url"] == "README.md"
    told = [(each["name"], each["value"]) for each in model["properties"]]
    assert ("safe-load:verdict", "clean") in told
    found = [value for name, value in told if name.startswith("safe-load:finding:SL")]
    assert len(found) == len(
        {(each.id, each.title, each.detail) for each in reports.malicious().findings}
    )


def test_a_local_model_names_nobody_and_one_file_is_its_hash() -> None:
    report = reports.clean("models/tiny.bin")
    model = model_of(bill(msgspec.structs.replace(report, files=report.files[:1])))
    assert model["name"] == "tiny.bin"
    assert {"purl", "supplier", "group", "licenses", "pedigree"}.isdisjoint(model)
    assert model["hashes"] == [{"alg": "SHA-256", "content": "ab" * 32}]


def test_several_sources_are_several_models_and_none_is_an_empty_bill() -> None:
    document = bill(hub(), hub(), reports.malicious(), reports.not_loadable())
    models = [each for each in document["components"] if each["type"] == "machine-learning-model"]
    assert len(models) == 4
    assert bill().get("components") is None


@pytest.mark.parametrize(
    ("card", "licenses"),
    [
        (Card(licenses=["other"], license_names=["acme-community"]), ["acme-community"]),
        (Card(licenses=["other"]), ["other"]),
        (Card(licenses=["MIT", "mit"]), ["MIT"]),
        (Card(licenses=["a license of ours\x1b[2J"]), ["a license of ours\\x1b[2J"]),
    ],
    ids=range(4),
)
def test_a_license_is_an_id_where_it_is_one_and_else_a_name(
    card: Card, licenses: list[str]
) -> None:
    model = model_of(bill(hub(card=card)))
    said = [each["license"] for each in model["licenses"]]
    assert [each.get("id") or each["name"] for each in said] == licenses


@settings(deadline=None, max_examples=8)
@given(st.text(max_size=60), st.text(max_size=60))
def test_no_text_makes_the_bill_invalid(one: str, two: str) -> None:
    one, two = (each.encode("utf-8", "replace").decode() for each in (one, two))
    card = Card(licenses=[one], datasets=[two], base_models=[one], license_names=[two])
    found = Finding("SL501", "high", one, two)
    files = [FileInfo(two or "x", 1, one, two)]
    bill(hub(card=card, findings=[found], files=files))
    bill(reports.clean(one))
