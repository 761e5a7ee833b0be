"""The auto classes as type checkers see them in safe_load.transformers: each says what it makes.

transformers leaves from_pretrained of these classes without types. Never imported when a program
runs: the stand-ins of `stand_ins` are what it meets.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import transformers as upstream
    from safe_load.api import Source

    #: What makes a model of whichever kind the source is.
    ModelClass = Literal[
        "AutoModel", "AutoModelForAudioClassification", "AutoModelForAudioFrameClassification",
        "AutoModelForAudioTokenization", "AutoModelForAudioXVector", "AutoModelForCTC",
        "AutoModelForCausalLM", "AutoModelForDecision", "AutoModelForDepthEstimation",
        "AutoModelForDocumentQuestionAnswering", "AutoModelForImageClassification",
        "AutoModelForImageMatting", "AutoModelForImageSegmentation",
        "AutoModelForImageTextToText", "AutoModelForImageToImage",
        "AutoModelForInstanceSegmentation", "AutoModelForKeypointDetection",
        "AutoModelForKeypointMatching", "AutoModelForMaskGeneration",
        "AutoModelForMaskedImageModeling", "AutoModelForMaskedLM", "AutoModelForMultimodalLM",
        "AutoModelForMultipleChoice", "AutoModelForNextSentencePrediction",
        "AutoModelForNormalEstimation", "AutoModelForObjectDetection",
        "AutoModelForPointmapEstimation", "AutoModelForPoseEstimation",
        "AutoModelForPreTraining", "AutoModelForQuestionAnswering", "AutoModelForRNNT",
        "AutoModelForSemanticSegmentation", "AutoModelForSeq2SeqLM",
        "AutoModelForSequenceClassification", "AutoModelForSpeechSeq2Seq", "AutoModelForTDT",
        "AutoModelForTableQuestionAnswering", "AutoModelForTableRecognition",
        "AutoModelForTextEncoding", "AutoModelForTextRecognition",
        "AutoModelForTextToSpectrogram", "AutoModelForTextToWaveform",
        "AutoModelForTimeSeriesPrediction", "AutoModelForTokenClassification",
        "AutoModelForUniversalSegmentation", "AutoModelForVideoClassification",
        "AutoModelForVisualQuestionAnswering", "AutoModelForZeroShotImageClassification",
        "AutoModelForZeroShotObjectDetection",
    ]  # fmt: skip

    class _Model:
        @classmethod
        def from_pretrained(
            cls, pretrained_model_name_or_path: Source, *model_args: Any, **kwargs: Any
        ) -> upstream.PreTrainedModel: ...
        @classmethod
        def from_config(
            cls, config: upstream.PreTrainedConfig, **kwargs: Any
        ) -> upstream.PreTrainedModel: ...

    class AutoConfig(upstream.AutoConfig):
        @classmethod
        def from_pretrained(
            cls, pretrained_model_name_or_path: Source, *inputs: Any, **kwargs: Any
        ) -> upstream.PreTrainedConfig: ...

    class AutoTokenizer(upstream.AutoTokenizer):
        @classmethod
        def from_pretrained(  # type: ignore[override]
            cls, pretrained_model_name_or_path: Source, *inputs: Any, **kwargs: Any
        ) -> upstream.PreTrainedTokenizerBase: ...

    class AutoProcessor(upstream.AutoProcessor):
        @classmethod
        def from_pretrained(
            cls, pretrained_model_name_or_path: Source, *inputs: Any, **kwargs: Any
        ) -> upstream.ProcessorMixin: ...

    class AutoFeatureExtractor(upstream.AutoFeatureExtractor):
        @classmethod
        def from_pretrained(
            cls, pretrained_model_name_or_path: Source, *inputs: Any, **kwargs: Any
        ) -> upstream.FeatureExtractionMixin: ...

    class AutoImageProcessor(upstream.AutoImageProcessor):
        @classmethod
        def from_pretrained(
            cls, pretrained_model_name_or_path: Source, *inputs: Any, **kwargs: Any
        ) -> upstream.BaseImageProcessor: ...

    class AutoModel(_Model, upstream.AutoModel): ...

    class AutoModelForAudioClassification(_Model, upstream.AutoModelForAudioClassification): ...

    class AutoModelForAudioFrameClassification(
        _Model, upstream.AutoModelForAudioFrameClassification
    ): ...

    class AutoModelForAudioTokenization(_Model, upstream.AutoModelForAudioTokenization): ...

    class AutoModelForAudioXVector(_Model, upstream.AutoModelForAudioXVector): ...

    class AutoModelForCTC(_Model, upstream.AutoModelForCTC): ...

    class AutoModelForCausalLM(_Model, upstream.AutoModelForCausalLM): ...  # type: ignore[misc]

    class AutoModelForDecision(_Model, upstream.AutoModelForDecision): ...

    class AutoModelForDepthEstimation(_Model, upstream.AutoModelForDepthEstimation): ...

    class AutoModelForDocumentQuestionAnswering(
        _Model, upstream.AutoModelForDocumentQuestionAnswering
    ): ...

    class AutoModelForImageClassification(_Model, upstream.AutoModelForImageClassification): ...

    class AutoModelForImageMatting(_Model, upstream.AutoModelForImageMatting): ...

    class AutoModelForImageSegmentation(_Model, upstream.AutoModelForImageSegmentation): ...

    class AutoModelForImageTextToText(_Model, upstream.AutoModelForImageTextToText): ...  # type: ignore[misc]

    class AutoModelForImageToImage(_Model, upstream.AutoModelForImageToImage): ...

    class AutoModelForInstanceSegmentation(_Model, upstream.AutoModelForInstanceSegmentation): ...

    class AutoModelForKeypointDetection(_Model, upstream.AutoModelForKeypointDetection): ...

    class AutoModelForKeypointMatching(_Model, upstream.AutoModelForKeypointMatching): ...

    class AutoModelForMaskGeneration(_Model, upstream.AutoModelForMaskGeneration): ...

    class AutoModelForMaskedImageModeling(_Model, upstream.AutoModelForMaskedImageModeling): ...

    class AutoModelForMaskedLM(_Model, upstream.AutoModelForMaskedLM): ...

    class AutoModelForMultimodalLM(_Model, upstream.AutoModelForMultimodalLM): ...

    class AutoModelForMultipleChoice(_Model, upstream.AutoModelForMultipleChoice): ...

    class AutoModelForNextSentencePrediction(
        _Model, upstream.AutoModelForNextSentencePrediction
    ): ...

    class AutoModelForNormalEstimation(_Model, upstream.AutoModelForNormalEstimation): ...

    class AutoModelForObjectDetection(_Model, upstream.AutoModelForObjectDetection): ...

    class AutoModelForPointmapEstimation(_Model, upstream.AutoModelForPointmapEstimation): ...

    class AutoModelForPoseEstimation(_Model, upstream.AutoModelForPoseEstimation): ...

    class AutoModelForPreTraining(_Model, upstream.AutoModelForPreTraining): ...

    class AutoModelForQuestionAnswering(_Model, upstream.AutoModelForQuestionAnswering): ...

    class AutoModelForRNNT(_Model, upstream.AutoModelForRNNT): ...

    class AutoModelForSemanticSegmentation(_Model, upstream.AutoModelForSemanticSegmentation): ...

    class AutoModelForSeq2SeqLM(_Model, upstream.AutoModelForSeq2SeqLM): ...

    class AutoModelForSequenceClassification(
        _Model, upstream.AutoModelForSequenceClassification
    ): ...

    class AutoModelForSpeechSeq2Seq(_Model, upstream.AutoModelForSpeechSeq2Seq): ...

    class AutoModelForTDT(_Model, upstream.AutoModelForTDT): ...

    class AutoModelForTableQuestionAnswering(
        _Model, upstream.AutoModelForTableQuestionAnswering
    ): ...

    class AutoModelForTableRecognition(_Model, upstream.AutoModelForTableRecognition): ...

    class AutoModelForTextEncoding(_Model, upstream.AutoModelForTextEncoding): ...

    class AutoModelForTextRecognition(_Model, upstream.AutoModelForTextRecognition): ...

    class AutoModelForTextToSpectrogram(_Model, upstream.AutoModelForTextToSpectrogram): ...

    class AutoModelForTextToWaveform(_Model, upstream.AutoModelForTextToWaveform): ...

    class AutoModelForTimeSeriesPrediction(_Model, upstream.AutoModelForTimeSeriesPrediction): ...

    class AutoModelForTokenClassification(_Model, upstream.AutoModelForTokenClassification): ...

    class AutoModelForUniversalSegmentation(_Model, upstream.AutoModelForUniversalSegmentation): ...

    class AutoModelForVideoClassification(_Model, upstream.AutoModelForVideoClassification): ...

    class AutoModelForVisualQuestionAnswering(
        _Model, upstream.AutoModelForVisualQuestionAnswering
    ): ...

    class AutoModelForZeroShotImageClassification(
        _Model, upstream.AutoModelForZeroShotImageClassification
    ): ...

    class AutoModelForZeroShotObjectDetection(
        _Model, upstream.AutoModelForZeroShotObjectDetection
    ): ...


__all__ = [
    "AutoConfig", "AutoFeatureExtractor", "AutoImageProcessor", "AutoModel",
    "AutoModelForAudioClassification", "AutoModelForAudioFrameClassification",
    "AutoModelForAudioTokenization", "AutoModelForAudioXVector", "AutoModelForCTC",
    "AutoModelForCausalLM", "AutoModelForDecision", "AutoModelForDepthEstimation",
    "AutoModelForDocumentQuestionAnswering", "AutoModelForImageClassification",
    "AutoModelForImageMatting", "AutoModelForImageSegmentation", "AutoModelForImageTextToText",
    "AutoModelForImageToImage", "AutoModelForInstanceSegmentation",
    "AutoModelForKeypointDetection", "AutoModelForKeypointMatching",
    "AutoModelForMaskGeneration", "AutoModelForMaskedImageModeling", "AutoModelForMaskedLM",
    "AutoModelForMultimodalLM", "AutoModelForMultipleChoice",
    "AutoModelForNextSentencePrediction", "AutoModelForNormalEstimation",
    "AutoModelForObjectDetection", "AutoModelForPointmapEstimation",
    "AutoModelForPoseEstimation", "AutoModelForPreTraining", "AutoModelForQuestionAnswering",
    "AutoModelForRNNT", "AutoModelForSemanticSegmentation", "AutoModelForSeq2SeqLM",
    "AutoModelForSequenceClassification", "AutoModelForSpeechSeq2Seq", "AutoModelForTDT",
    "AutoModelForTableQuestionAnswering", "AutoModelForTableRecognition",
    "AutoModelForTextEncoding", "AutoModelForTextRecognition", "AutoModelForTextToSpectrogram",
    "AutoModelForTextToWaveform", "AutoModelForTimeSeriesPrediction",
    "AutoModelForTokenClassification", "AutoModelForUniversalSegmentation",
    "AutoModelForVideoClassification", "AutoModelForVisualQuestionAnswering",
    "AutoModelForZeroShotImageClassification", "AutoModelForZeroShotObjectDetection",
    "AutoProcessor", "AutoTokenizer",
]  # fmt: skip
