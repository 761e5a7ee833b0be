"""Names that imitate known publishers are told, and the names of known publishers never are."""

from __future__ import annotations

from dataclasses import replace

import pytest
from safe_load.provenance.names import imitated
from safe_load.provenance.publishers import known
from safe_load.provenance.skeletons import skeleton

KNOWN = known()

LOOK_ALIKES = {
    "EleuterAI": "EleutherAI",
    "0penai": "openai",
    "meta-Ilama": "meta-llama",
    "rnistralai": "mistralai",
    "deepseek-al": "deepseek-ai",
    "g00gle": "google",
    "micros0ft": "microsoft",
    "nvidla": "nvidia",
    "Qvven": "Qwen",
    "Qwenn": "Qwen",
    "facebok": "facebook",
    "huggingfce": "huggingface",
    "stabi1ityai": "stabilityai",
    "stabilty-ai": "stabilityai",
    "stability-ai": "stabilityai",
    "BAAl": "BAAI",
    "tiiuea": "tiiuae",
    "llama-meta": "meta-llama",
    "meta-llama-official": "meta-llama",
    "the-google": "google",
    "Qwen-AI": "Qwen",
    "TheB1oke": "TheBloke",
    "alenai": "allenai",
    "saleforce": "Salesforce",
    "appIe": "apple",
    "black-forrest-labs": "black-forest-labs",
    "openbrnb": "openbmb",
    "sentence-transforrners": "sentence-transformers",
    "tencemt": "tencent",
    "\u043epenai": "openai",  # Cyrillic o
    "nv\u0456dia": "nvidia",  # Ukrainian i
    "m\u0435ta\u2010llama": "meta-llama",  # Cyrillic e, a hyphen of Unicode's
    "\uff4f\uff50\uff45\uff4e\uff41\uff49": "openai",  # full width
}


@pytest.mark.parametrize("name", LOOK_ALIKES)
def test_a_look_alike_is_told_from_whom_it_imitates(name: str) -> None:
    alike = imitated(name, KNOWN)
    assert alike is not None
    assert alike.name == LOOK_ALIKES[name]


def test_no_known_publisher_warns_however_its_name_is_written() -> None:
    assert len(KNOWN.names) > 500
    for name in KNOWN.names:
        assert imitated(name, KNOWN) is None, name
        assert imitated(name.upper(), KNOWN) is None, name


#: Real or plausible, on no list: of the same families, short, or of ordinary words.
HONEST = (
    "facebookresearch meta qwen2 Qwen2 gemma llama bert gpt2 ollama huggingface-projects amazon-science john alice "
    "owen gwen goggles orca apples appleseed intelligence microservices bioinformatics openproject deepmodel visual "
    "metaverse mistralis transformer-lab stable-audio neural-bridge nlp-group university-lab mit-nlp "
    "kaist-lab tohoku jp-nlp vision-lab speech-lab my-company acme data-science models test-user user123 xyz abc "
    "google-research openai-whisper microsoft-speech nvidia-nemo ibm-watson intel-extension apple-silicon"
).split()


@pytest.mark.parametrize("name", HONEST)
def test_an_honest_name_that_is_on_no_list_does_not_warn(name: str) -> None:
    assert imitated(name, KNOWN) is None


def test_real_publishers_rarely_resemble_each_other_even_unlisted() -> None:
    """Each is judged as if it were on no list. Families (facebook, FacebookAI) and four pairs of nearly equal
    organisations are alike; all of them are on the list for that."""
    alike = {}
    for name in KNOWN.names:
        others = replace(KNOWN, names=KNOWN.names - {name}, watched=KNOWN.watched - {name})
        if (found := imitated(name, others)) is not None:
            alike[name] = found
    near = [name for name, found in alike.items() if found.kind != "one word more or less"]
    assert len(near) <= len(KNOWN.names) * 0.025, sorted(near)
    assert len(alike) <= len(KNOWN.names) * 0.04, sorted(alike)


def test_a_users_own_names_are_known_and_watched() -> None:
    mine = known(("Contoso-Labs", "fabrikam/one-model"))
    assert imitated("Contoso-Labs", mine) is None
    assert imitated("c0ntoso-labs", KNOWN) is None
    for name, meant in (("c0ntoso-labs", "Contoso-Labs"), ("fabrykam", "fabrikam")):
        alike = imitated(name, mine)
        assert alike is not None
        assert alike.name == meant
    assert mine.owners("One_Model") == ["fabrikam"]


@pytest.mark.parametrize(
    "name", ["", "-", "....", "x" * 100_000, "\u200b" * 50, "\U0001f600" * 300]
)
def test_any_text_has_a_skeleton_and_an_answer(name: str) -> None:
    assert len(skeleton(name)) <= 4000
    assert imitated(name, KNOWN) is None


def test_the_list_says_when_it_was_made_and_of_what() -> None:
    assert KNOWN.made >= "2026-11-29"
    assert KNOWN.owners("bert-base-uncased") == ["google-bert"]
    assert KNOWN.owners("BERT_base-uncased") == ["google-bert"]
    assert KNOWN.owners("a-model-of-nobody") == []
