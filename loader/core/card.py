"""What a model's card says of the model: the words of whoever wrote it, and no proof. Zone: controller."""

from __future__ import annotations

from typing import Annotated

import msgspec

#: As safe_load.worker.rewrite.model_card bounds them.
_Words = Annotated[list[Annotated[str, msgspec.Meta(max_length=200)]], msgspec.Meta(max_length=50)]


class Card(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The facts of a card that a bill of materials has. license_names: of licenses that are "other"."""

    licenses: _Words = []
    license_names: _Words = []
    datasets: _Words = []
    base_models: _Words = []
    libraries: _Words = []
    tasks: _Words = []
