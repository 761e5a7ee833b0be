"""HDF5 files that read other files are told; those that keep their numbers are data, and so is nothing else."""

from __future__ import annotations

import base64
import io
import zlib

import h5py
import numpy as np
import pytest
from safe_load.worker.formats.interface import Content
from safe_load.worker.refusal import RefusedError

from tests.unit.worker.formats.test_data import judged

#: As h5py 3.16 writes them: an array in the file, in /etc/passwd, behind a link, and of another file's dataset.
FILES = {
    "weights": (
        "eNrr9HBx4+WS4mIAAQ4OBhYGAQZk8B8KOCRQ+TD5BCjNCKU7oPQKJpg4M1gOqh1oOsR8BWYIPwMqHhLk6gpS/R8NwOyZwQKhORhG"
        "wUgEHq6OASA6Ap6OIOAEE6q6ssSiYuT06EGhvYJQm9DTNQ/UZEYGPgYRYKrMTi1KLI4vSy0qzszPA4pLMjKCdQrA3cKBkk8YkRIz"
        "IxizQsQYYWKQHMPICBGAeRNGMwPlQTKCCvIMkKyhwCDOwSBeD5VnBRoOkmdiYoJaBTGPGWYwRk7qGFTxHezn78II9AHMlR3Mo3lg"
        "FIwCagN3Z38fRqQClRGtPjdGU3+DfzTMRsEoGAWjYBSMglEwCkbBKBgFo2AUjIKhBxrsQRgApks5ww=="
    ),
    "stored": (
        "eNrr9HBx4+WS4mIAAQ4OBhYGAQZk8B8KGCTQ+FCQAKUZoXQHlF7BBBNnBstBtQNNh5ivwAzhZ0DFQ4JcXUGq/6MBmD0XWCA0B8Mo"
        "GInAw9UxAERHwNMRBJxgQlVXllhUjJwePSi0VxBqE3q65oGazMjAxyACTJXZqUWJxfFlqUXFmfl5QHFJRkawTgG4WzhQ8gkjUmJm"
        "BGM2iBgjTAySYxgZIQLQ5A+nmYEmM2IxnxVIg/hMTExgYXYGDaj5IMzIMANHPoKZywG1l5kRlgNZ0FQm0DW+JdDKlx1oztFPLUnW"
        "L0gsLi5PAfOD/fxdQP6E+a+DeTTvjIJRgAu4O/v7MCIVqIxo+c0YTf0N/tEwGwWjYBSMglEwCkbBKBgFo2AUjIJRMAqGGgAAZxRG"
        "EA=="
    ),
    "linked": (
        "eNrtmb9Og3AQx++AFtL4B42DOlUfwA7GvcaiDMYadeimxJDUmFhDm0bfoG6Ojo4+hqOP4OibVOB3PwR0aOzU9PshcNxx/PjluDtI"
        "fk9+63CxtlmjBMchi1zKMxaet4u6vn4lkkWORL4Z2m6n19bF7sr4dVPpXbFfnHle4j0ukU2kroRDYB7xvf3TRHayPFJ8GEW/YRD1"
        "8/noT/lcna8dW+n3Yl+QkZmWaC3OytswCvqXwzDq3/TuYvsGc3qnm83FKdQJ55KZ072ibKxtRX8zHik5dx19WzM9VmItsRuGIUOq"
        "SjNZl1y5Yl5n4n1zuv30jRV5D++W0r+qk/UNfwt9A33jd98gu+j3UPqOTds3jCxz/87MmtStpiozY7KSFvZiZXb14WOnyY+rRI1w"
        "cN3oDbphtNPdo0YwbXyODtrHnAsMl+KwW/L/XEZOAQAAAAAAAAAAswYjBAAAAMDccX7SbnG22kikFx70f0F5vQ1MFseRiZj8h2+a"
        "6mka"
    ),
    "virtual": (
        "eNrtlc1OwzAMgO2moDL+BuIAnDghcWEHxO6IdfQADAEHblChSkUTTGqniUfY3oBH4FF4qy1pnOJF3NgBCX9SZdlxbEe1k0nS6a43"
        "9htgiCIIoQmcKQG7nk48kUSSY5KfgbOrao226+g2/oGyek72+9s4Nt5TD5fnI7QyAuE/ksRnN0Y+1H1k+Qrm/UZpUfJ+TH6Zd4sy"
        "+X29RpERNmBHd2U/K9LycZQV5cvgTdv3EKudzbqWaG5OkDUzVt+ytaGz2YlBtAZq/1oqHRl/iL+kpdEDFVAKW3+oXDZ7gG1WT/t1"
        "tf99wr/B3XWvg7o6N+9jJTMgCIvm4rx3iexCRe89PwF+awBcgefQyobPrcEwz4rj/BRSUGzNbUR2aSPTje9h+2iFub9vyj8RBEEQ"
        "BEEQBEEQhEUzA7FQPcY="
    ),
}  # fmt: skip


def hdf5(name: str) -> bytes:
    return zlib.decompress(base64.b64decode(FILES[name]))


def test_weights_that_lie_in_the_file_are_data() -> None:
    content, reading = judged(hdf5("weights"))
    assert isinstance(content, Content)
    assert (content.state, reading.carried) == ("data", [])


@pytest.mark.parametrize(
    ("name", "said"),
    [("stored", "in other files"), ("linked", "/etc/other.h5"), ("virtual", "of other files")],
)
def test_a_file_that_reads_another_one_is_told(name: str, said: str) -> None:
    content, reading = judged(hdf5(name))
    assert isinstance(content, Content)
    assert content.state == "opened"
    assert [(found, said in sentence) for found, sentence in reading.carried] == [("SL505", True)]


def virtual(*sources: str, step: int = 1) -> bytes:
    """A dataset that is put together of a dataset of each of these files, as h5py writes it."""
    out = io.BytesIO()
    with h5py.File(out, "w") as file:
        file["part"] = np.arange(8, dtype="f4")
        layout = h5py.VirtualLayout((8 * len(sources),), "f4")
        for number, name in enumerate(sources):
            part = h5py.VirtualSource(name, "part", (8,))
            layout[8 * number : 8 * number + 8 : step] = part[::step]
        file.create_virtual_dataset("whole", layout)
    return out.getvalue()


@pytest.mark.parametrize("step", [1, 2])
def test_numbers_put_together_of_the_file_itself_leave_it_nowhere(step: int) -> None:
    content, reading = judged(virtual(".", ".", step=step))
    assert (content.state, reading.carried) == ("data", [])
    _, reading = judged(virtual(".", "other.h5", step=step))
    assert reading.carried == [("SL505", "takes numbers from datasets of other files")]


def test_a_list_of_parts_that_is_cut_or_lies_is_refused_or_told() -> None:
    whole = virtual(".", ".")
    at = whole.index(b"GCOL") + 32
    for place in range(at, at + 80):
        content, _ = judged(whole[:place] + b"\xff" * 8 + whole[place + 8 :])
        assert isinstance(content, (Content, RefusedError))


@pytest.mark.parametrize("name", FILES)
def test_what_is_cut_or_damaged_is_refused_or_read_and_never_hangs(name: str) -> None:
    whole = hdf5(name)
    for end in range(600, len(whole), 97):
        assert isinstance(judged(whole[:end])[0], RefusedError)
    for at in range(0, 1200, 13):
        content, _ = judged(whole[:at] + bytes((whole[at] ^ 0xFF,)) + whole[at + 1 :])
        assert isinstance(content, (Content, RefusedError))


@pytest.mark.parametrize("data", [b"cposix\nsystem\n", b"\x8c\x05posix\x94\x8c\x06system\x94\x93"])
def test_a_file_of_datasets_is_data_unless_a_pickle_lies_in_it(data: bytes) -> None:
    plain = hdf5("weights").replace(b"keras_version", b"arras_version").replace(b"vars", b"sums")
    content, _ = judged(plain)
    assert isinstance(content, Content)
    assert (content.state, content.why) == (
        "data",
        "datasets of numbers and text, as h5py reads them",
    )
    content, _ = judged(plain + data)
    assert isinstance(content, RefusedError)
    assert content.state == "not_judged"


@pytest.mark.parametrize(
    "mark", [b"PYTABLES_FORMAT_VERSION", b"pandas_type", b"model_config", b"FRHP\0\7\0\x10\0"]
)
def test_tables_and_whole_models_are_no_data(mark: bytes) -> None:
    content, _ = judged(hdf5("weights") + mark)
    assert isinstance(content, RefusedError)
    assert content.state == "not_judged"
