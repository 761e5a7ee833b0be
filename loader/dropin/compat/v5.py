"""transformers 5, tried with 5.23. Zone: the caller's process."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from safe_load.dropin.compat.interface import LeftOut, Upstream, nothing

if TYPE_CHECKING:
    from collections.abc import Iterator


class V5(Upstream):
    """See `Upstream`."""

    # num_mtp_layers: MtpModel.from_pretrained; adapter_attn_dim: Wav2Vec2PreTrainedModel.load_adapter.
    read_later = ("num_mtp_layers", "num_nextn_predict_layers", "adapter_attn_dim")
    hidden = {  # noqa: RUF012 - declared as a ClassVar where it is explained
        "image_processing_base": "ImageProcessingMixin",
        "video_processing_utils": "BaseVideoProcessor",
        "models.auto.image_processing_auto": "AutoImageProcessor",
        "models.auto.video_processing_auto": "AutoVideoProcessor",
        "decision.configuration_utils": "DecisionConfig",
        "decision.modeling_utils": "DecisionMixin",
        "tokenization_mistral_common": "MistralCommonBackend",
        "models.clvp.configuration_clvp": "ClvpEncoderConfig",
        "models.bark.processing_bark": "BarkProcessor",
        "models.pop2piano.processing_pop2piano": "Pop2PianoProcessor",
        "models.wav2vec2_with_lm.processing_wav2vec2_with_lm": "Wav2Vec2ProcessorWithLM",
    }

    def roots(self) -> list[type]:
        return self._roots("PreTrainedConfig")

    def left_out(self) -> Iterator[LeftOut]:
        pipelines = sys.modules.get("transformers.pipelines")
        # The model that an adapter names, which it would fetch, and the pickled language model of a
        # decoder, where the package for it is installed.
        for name in ("find_adapter_config_file", "_maybe_load_ctc_decoder"):
            if hasattr(pipelines, name):
                yield LeftOut(pipelines, name, nothing)
