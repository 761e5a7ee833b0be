"""Models of LightGBM and XGBoost that are text: read as any text, opened by their libraries. Zone: worker."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from safe_load.worker.formats import boosters
from safe_load.worker.formats.texts import Text

if TYPE_CHECKING:
    from safe_load.worker.formats.interface import File


class LightGbm(Text):
    """A model of LightGBM, which is text."""

    name, called, loader = "lightgbm", "a LightGBM model", "lightgbm.Booster"
    opens = "lightgbm:Booster"
    weights, hides = "the lists of numbers of its trees", ""

    def recognise(self, file: File) -> bool:
        """By its first line."""
        return file.head.startswith(boosters.LIGHTGBM) and super().recognise(file)


class XgboostJson(Text):
    """A model of XGBoost in JSON."""

    name, called, loader = "xgboost-json", "an XGBoost model", "xgboost.Booster.load_model"
    opens = "xgboost:Booster"
    weights, hides = "all lists of numbers, by the keys that lead to them", ""

    def recognise(self, file: File) -> bool:
        """By its first key, which XGBoost writes in order."""
        return _LEARNER.match(file.head) is not None and super().recognise(file)


_LEARNER = re.compile(rb'\s*\{\s*"learner"\s*:\s*\{')
