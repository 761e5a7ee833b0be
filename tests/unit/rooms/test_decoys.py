"""The only credentials in a room are fakes, made for one load, and known again when they are sent."""

from __future__ import annotations

import base64

from safe_load import profiles
from safe_load.rooms import decoys

NAMES = profiles.load("strict").decoys


def test_each_load_has_decoys_of_its_own() -> None:
    first, second = decoys.plant(NAMES), decoys.plant(NAMES)
    assert len(first.marks) == len(NAMES)
    assert first.marks.keys().isdisjoint(second.marks)
    planted = "\n".join([*first.files.values(), *first.environment.values()])
    assert all(mark in planted for mark in first.marks)
    assert not any(mark in planted for mark in second.marks)


def test_no_list_of_files_tells_the_decoys() -> None:
    loads = [decoys.plant(NAMES) for _ in range(20)]
    assert len({frozenset(each.files) for each in loads}) > 10
    always = set.intersection(*(set(each.files) for each in loads))
    assert {"/home/ubuntu/.ssh/id_rsa", "/home/ubuntu/.aws/credentials"} <= always
    for each in loads:
        assert each.titles.keys() == each.files.keys()
        planted = "\n".join([*each.files, *each.files.values(), *each.environment.values()])
        assert "example" not in planted.lower()
        assert not set("{}") & set("".join(each.files))


def test_a_decoy_that_was_sent_is_known_again_however_it_is_spelt() -> None:
    planted = decoys.plant(NAMES)
    for mark, title in planted.marks.items():
        for sent in (
            f"GET /?k={mark}",
            mark.lower(),
            mark[::-1],
            mark.encode().hex(),
            *(base64.b64encode(b"xyz"[:shift] + mark.encode()).decode() for shift in range(3)),
            *(base64.b32encode(b"vwxyz"[:shift] + mark.encode()).decode() for shift in range(5)),
        ):
            assert planted.stolen(sent) == [title], sent
    assert planted.stolen("GET /?k=nothing of ours") == []
