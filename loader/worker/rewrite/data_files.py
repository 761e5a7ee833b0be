"""Files of numbers and words that libraries read beside weights, written anew as just that.

Zone: worker. No library makes more of them than values: the sizes of Llama's own format, what a Trainer
has counted and measured, the sizes of an OpenCLIP model, names of labels, parameters of a quantiser. A text that could be a path, an
address or a repository is left out, and so is each key that steers a library.
"""

from __future__ import annotations

from typing import Any

from safe_load.worker.rewrite import config_requests, lenient
from safe_load.worker.rewrite.config_writer import Rewritten, Writer, harmless, render
from safe_load.worker.strict_json import Malformed, parse, shown

#: Name -> whether its texts are for people to read, as the names of labels are.
FILES = {
    "params.json": False,
    "trainer_state.json": False,
    "all_results.json": False,
    "train_results.json": False,
    "eval_results.json": False,
    "hyperparameters.json": False,
    "hparams.json": False,
    "quantize_config.json": False,
    "quant_config.json": False,
    "open_clip_config.json": False,
    "label_map.json": True,
    "labels.json": True,
    "id2label.json": True,
    "label2id.json": True,
}
#: Of open_clip: repositories that it would ask for a text model and its tokenizer.
_ELSEWHERE = frozenset({"hf_model_name", "hf_tokenizer_name"})
_MAX_BYTES = 16 << 20
_MAX_DEPTH = 8


def reemit(name: str, data: bytes, where: str) -> Rewritten:
    """Write it anew. where: its path. What is malformed is told in a note, and not written."""
    out = Rewritten()
    try:
        value = parse(data, where=where, max_bytes=_MAX_BYTES, allow_nonfinite=True)
    except Malformed as error:
        out.notes.append(f"{where} was not exported: {error}")
        out.requests += lenient.asked(data, where, config_requests.find_code)
        return out
    if not isinstance(value, dict | list):
        out.notes.append(f"{where} was not exported: it is neither an object nor a list")
        return out
    if isinstance(value, dict):
        out.requests += config_requests.find_code(value, where)
    kept = _Values(Writer(out.dropped), text=FILES[name]).kept(value, f"{where}: ", 0)
    if kept is not _LEFT_OUT:
        out.files[name] = render(kept)
    return out


_LEFT_OUT = object()


class _Values:
    """Takes over what is plain. text: whether texts are for people to read."""

    def __init__(self, writer: Writer, *, text: bool) -> None:
        self._writer = writer
        self._text = text

    def kept(self, value: Any, at: str, depth: int) -> Any:
        """The value without what may not stand; _LEFT_OUT where nothing of it may."""
        if depth > _MAX_DEPTH:
            self._writer.drop(at, "lies too deep")
            return _LEFT_OUT
        if isinstance(value, dict):
            return self._table(value, at, depth)
        if isinstance(value, list):
            items = [self.kept(item, f"{at}[{n}]", depth + 1) for n, item in enumerate(value)]
            # Without one of its items, the others would stand for something else.
            return _LEFT_OUT if any(item is _LEFT_OUT for item in items) else items
        if not harmless(value, text=self._text):
            self._writer.drop(at, "is not a plain number or word")
            return _LEFT_OUT
        return value

    def _table(self, value: dict[str, Any], at: str, depth: int) -> dict[str, Any]:
        found = {}
        for key, item in value.items():
            place = f"{at}{'.' if depth else ''}{shown(key)[1:-1]}"
            if (
                key in _ELSEWHERE
                or key in config_requests.steering_keys()
                or config_requests.is_reference(key)
                or config_requests.fetches_kernel(key, item)
            ):
                if item not in (None, "", [], {}):
                    self._writer.drop(place, "names code, a place or another repository")
            elif (kept := self.kept(item, place, depth + 1)) is not _LEFT_OUT:
                found[key] = kept
        return found
