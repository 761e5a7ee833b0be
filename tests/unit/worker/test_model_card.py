"""The head of a model card: the plain forms are read, and nothing else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from safe_load.worker.rewrite import model_card

WHOLE = """---
language: en
license: apache-2.0  # as the base
license_name: "acme community"
datasets:
- acme/corpus
  - 'wiki'
base_model: [example/base-7b, other/base]
tags:
- a
model-index:
- name: x
  results: []
library_name: transformers
---
# A model
license: mit
"""


def test_the_keys_of_a_bill_are_read_in_each_form() -> None:
    assert model_card.of(WHOLE.encode()) == {
        "licenses": ["apache-2.0"],
        "license_names": ["acme community"],
        "datasets": ["acme/corpus", "wiki"],
        "base_models": ["example/base-7b", "other/base"],
        "libraries": ["transformers"],
    }


@pytest.mark.parametrize(
    "text",
    [
        "",
        "# A model\nlicense: mit",
        "---\nlicense: mit\n",
        "---\nlicense:\n  name: mit\n---\n",
        "---\nlicense: {a: b}\n---\n",
        "---\nlicense: &x mit: y\n---\n",
        f"---\nlicense: {'m' * 300}\n---\n",
    ],
    ids=range(7),
)
def test_what_is_no_plain_head_says_nothing(text: str) -> None:
    assert model_card.of(text.encode()) == {}


def test_values_are_bounded_in_number_and_length() -> None:
    many = "---\ndatasets:\n" + "- x\n" * 500 + "---\n"
    assert len(model_card.of(many.encode())["datasets"]) == model_card.MAX_VALUES
    wide = f"---\ndatasets: [{', '.join('x' * 500)}]\n---\n"
    assert len(model_card.of(wide.encode())["datasets"]) == model_card.MAX_VALUES


@given(st.binary(max_size=300))
def test_no_bytes_make_it_fail(data: bytes) -> None:
    for values in model_card.of(b"---\nlicense:\n- " + data + b"\n---\n").values():
        assert len(values) <= model_card.MAX_VALUES
        assert all(len(each) <= model_card.MAX_TEXT for each in values)
