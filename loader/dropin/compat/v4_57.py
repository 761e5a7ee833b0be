"""transformers 4.57, tried with 4.57.6. Zone: the caller's process."""

from __future__ import annotations

import sys
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any, NoReturn

from safe_load.dropin.compat.interface import LeftOut, Upstream, nothing

if TYPE_CHECKING:
    from collections.abc import Iterator


class V4(Upstream):
    """See `Upstream`."""

    read_later = ("adapter_attn_dim",)  # Wav2Vec2PreTrainedModel.load_adapter
    hidden = {  # noqa: RUF012 - declared as a ClassVar where it is explained
        "image_processing_base": "ImageProcessingMixin",
        "video_processing_utils": "BaseVideoProcessor",
        "models.auto.image_processing_auto": "AutoImageProcessor",
        "models.auto.video_processing_auto": "AutoVideoProcessor",
        "tokenization_mistral_common": "MistralCommonTokenizer",
        "models.clvp.configuration_clvp": "ClvpEncoderConfig",
        "models.bark.processing_bark": "BarkProcessor",
        "models.pop2piano.processing_pop2piano": "Pop2PianoProcessor",
        "models.deprecated.jukebox.configuration_jukebox": "JukeboxPriorConfig",
        "models.deprecated.realm.retrieval_realm": "RealmRetriever",
        "models.deprecated.transfo_xl.tokenization_transfo_xl": "TransfoXLCorpus",
        "models.wav2vec2_with_lm.processing_wav2vec2_with_lm": "Wav2Vec2ProcessorWithLM",
    }

    def roots(self) -> list[type]:
        return self._roots("PretrainedConfig")

    def left_out(self) -> Iterator[LeftOut]:
        pipelines = sys.modules.get("transformers.pipelines")
        if pipelines is None:
            return
        # The model that an adapter names, which it would fetch.
        yield LeftOut(pipelines, "find_adapter_config_file", nothing)
        # The language model of a decoder, which pipeline() has pyctcdecode load from the source.
        if decoder := _decoder():
            for name in ("load_from_dir", "load_from_hf_hub"):
                yield LeftOut(decoder, name, _no_decoder)


@cache
def _decoder() -> type | None:
    try:
        found = import_module("pyctcdecode").BeamSearchDecoderCTC
    except ImportError:
        return None
    return found if isinstance(found, type) else None


def _no_decoder(*_args: Any, **_kwargs: Any) -> NoReturn:
    # transformers then warns and decodes without it.
    raise ImportError("safe-load does not read a decoder's language model")
