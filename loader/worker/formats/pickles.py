"""Files that are unpickled: by torch.load, pickle.load or joblib.load. Zone: worker."""

from __future__ import annotations

from typing import TYPE_CHECKING

from safe_load.worker.formats import library_states, nested, unfolding, zero
from safe_load.worker.formats.interface import Content, File, Format
from safe_load.worker.formats.pickled import Reader
from safe_load.worker.pickle_vm.state import MalformedError
from safe_load.worker.refusal import RefusedError
from safe_load.worker.tensors import export_names, facts, layout, structure
from safe_load.worker.tensors.dtypes import TORCH
from safe_load.worker.tensors.walk import Walk, distinct

if TYPE_CHECKING:
    from safe_load.worker.formats.interface import Reading
    from safe_load.worker.pickle_vm.values import Inexpressible
    from safe_load.worker.tensors.layout import Entry, Layout
    from safe_load.worker.tensors.walk import Named

_MAX_NOTES = 100
PROTOCOLS = tuple(bytes((0x80, protocol)) for protocol in range(6))


class Pickle(Format):
    """What no other format recognises: a pickle, or bytes of which nobody knows the meaning."""

    name, called, loader = "pickle", "a pickle", "torch.load, pickle.load or joblib.load"

    weights = "all, under the names of the state dict"
    hides = "any callable"

    def recognise(self, file: File) -> bool:  # noqa: ARG002 - the last in the list
        """Whatever is left."""
        return True

    def read(self, file: File, reading: Reading) -> Content:
        """Its tensors. What calls nothing, says no protocol and does not come to an end is no pickle."""
        ledger = reading.ledger()
        reader = Reader(ledger)
        try:
            root = reader.read(file.span)
        except RefusedError as refusal:
            calls = any(call["called"] for call in real_calls(ledger.entries()))
            if file.head.startswith(PROTOCOLS) or calls or reader.format != "pickle":
                reading.keep(ledger)
                reading.notes += reader.notes[:_MAX_NOTES]
                refusal.format = reader.format
                if reader.format in ("pickle", "torch-legacy") and isinstance(
                    refusal, MalformedError
                ):
                    refusal.state = "opened"  # all that runs before it breaks was read
            raise
        reading.keep(ledger)
        reading.notes += reader.notes[:_MAX_NOTES]
        unread = judge_others(reader, reading, root)
        if reading.parts is not None and reading.depth == 0 and zero.is_model_states(root):
            content = _consolidated(root, reading, reader.defects)
        else:
            content = content_of(root, reader.format, reading, reader.defects)
        if unread:
            content.state, content.why = "not_judged", unread
        return content


def _consolidated(root: object, reading: Reading, defects: list[str]) -> Content:
    """The weights of a DeepSpeed checkpoint whose model_states file this is. What loading this file alone
    gives is `left`; the tensors that are exported are made of that of several files."""
    if defects:
        raise RefusedError(defects[0])
    walk = Walk(root)
    own = [layout.single(path, tensor) for path, tensor in distinct(walk.tensors(walk.root))]
    content = content_of(zero.value(root, reading), "deepspeed-zero", reading)
    for entry in content.plan.entries if content.plan else ():
        entry.made = True
    content.left = own
    return content


def unpickle(file: File, reading: Reading) -> tuple[object, Reader]:
    """What the file amounts to, as an object; what it calls is kept. Raises RefusedError."""
    ledger = reading.ledger()
    reader = Reader(ledger)
    try:
        root = reader.read(file.span)
    finally:
        reading.keep(ledger)
        reading.notes += reader.notes[:_MAX_NOTES]
    if unread := judge_others(reader, reading, root):
        raise RefusedError(unread)
    return root, reader


def second_look(file: File, reading: Reading) -> tuple[object, Reader] | None:
    """What a file of another format is as a pickle: whatever its name, torch.load would try it. None
    when it is no complete one. What it calls before it fails is kept, what it only names is chance."""
    ledger = reading.ledger()
    reader = Reader(ledger)
    try:
        root = reader.read(file.span)
    except RefusedError as refusal:
        if not isinstance(refusal, MalformedError):
            # A bound of ours, at which an unpickler would go on.
            reading.keep(ledger)
            raise
        ledger.forget_names()
        calls = real_calls(ledger.entries())
        if calls:
            reading.callables += calls
            reading.notes.append(
                f"read as a pickle, the file calls something before it fails: {refusal.reason}"
            )
        return None
    reading.keep(ledger)
    reader.behind.clear()  # of a text that happens to begin as a pickle, this is the text
    if unread := judge_others(reader, reading, root):
        raise RefusedError(unread)
    return root, reader


def judge_others(reader: Reader, reading: Reading, root: object) -> str:
    """Judge as files the members of archives that no pickle claims, what follows a pickle, and the pickles
    among its values. Returns why one of them is not judged, "" when all are. Raises RefusedError for a bomb."""
    nested.look(root, reading, second_look)
    unread = library_states.look(root, reading)
    for archive, member in reader.others:
        lower = member.name.lower()
        if reader.format.startswith("torchscript") and "/code/" in lower and lower.endswith(".py"):
            continue  # the program, of which `archives` says what it is
        try:
            span = archive.bytes_of(member)
            if member.method:
                reading.spend(member.size, member.packed, streamed=True)
            inner = reading.judge(File(member.name, span))
            why = inner.why if inner.state == "not_judged" else ""
        except RefusedError as refusal:
            if refusal.status == "bomb":
                raise
            why = "" if refusal.state == "opened" else refusal.reason
        if why and not unread:
            unread = f"{member.name[:200]!a} in it, which no tensor claims: {why}"
    for span in reader.behind:
        unread = unread or _judge_behind(File("what follows the pickle", span), reading)
    return unread


def _judge_behind(file: File, reading: Reading) -> str:
    """Judge what follows a pickle as a file: who reads on would open it. Returns why it is not judged, ""
    where it is, or is of no known format."""
    try:
        inner = reading.judge(file)
    except RefusedError as refusal:
        if refusal.status == "bomb":
            raise
        why = "" if refusal.state == "opened" else refusal.reason
        if refusal.format == "unknown":
            why = "" if _is_blank(file) else f"bytes of no known format ({refusal.reason})"
    else:
        why = inner.why if inner.state == "not_judged" else ""
    return why and f"what follows the pickle: {why}"


def _is_blank(file: File) -> bool:
    """Whether it is only what fills a file up to some size."""
    return not any(bytes(part).strip(b"\0\t\n\r ") for part in file.span.chunks(0, file.size))


def real_calls(entries: list[dict[str, object]]) -> list[dict[str, object]]:
    """The entries without codes of Python's extension registry, which is empty: with one of those alone,
    unpickling ends."""
    kept = [entry for entry in entries if not str(entry["opcode"]).startswith("EXT")]
    return entries if any(entry["called"] for entry in kept) else []


def content_of(
    root: object, format_: str, reading: Reading, defects: list[str] | None = None
) -> Content:
    """The tensors in an unpickled object, laid out. Raises RefusedError for those that cannot be."""
    whole = reading.whole and reading.depth == reading.packed
    if not whole and not unfolding.PACKAGES.isdisjoint(reading.packages):
        unfolding.unfold(root, reading)
    walk = Walk(root)
    paths = distinct(walk.tensors(walk.root))
    flat = export_names.is_flat(walk.root) and reading.choice.weights_of is None
    if whole or flat or not paths:
        export = export_names.Export(paths)
    else:
        export = export_names.choose(walk, reading.choice)
    reading.notes += export.notes
    named = _of_one_kind(export.named, reading)
    plan = layout.plan(named, reading.limit)
    plan.facts, refused = facts.of_object(walk.root)
    if refused:
        reading.notes.append(f"metadata left out: {', '.join(map(ascii, refused[:16]))}")
    if plan.aliases:
        reading.notes.append(
            f"{len(plan.aliases)} names of tied tensors are written as aliases alone: under every "
            "name, they would take more room than there may be"
        )
    left = _name_paths(plan, paths, named)
    if not whole:
        reading.notes += [*_of_parts(walk.others), *_of_views(plan)]
    if defects:
        raise RefusedError(defects[0])
    content = Content(format_, "opened", "read as data", plan, left=left)
    if whole:
        content.whole = structure.of(root)
        if content.whole is None:
            raise RefusedError("it holds more values than can be given back one by one")
    return content


def _of_parts(others: dict[str, Inexpressible]) -> list[str]:
    """What is written of the tensors that safetensors cannot say."""
    return [
        f"{name[:200]!a} {item.reason}; "
        + (f"it is written as its {_listed(item.parts)}" if item.parts else "it is left out")
        for name, item in list(others.items())[:_MAX_NOTES]
    ]


def _of_views(plan: Layout) -> list[str]:
    """What is written of the tensors whose types safetensors lacks."""
    viewed = [e for e in plan.entries if e.remark and not TORCH[e.torch_dtype].exact]
    return [
        f"{entry.name[:200]!a} is {entry.remark}, which safetensors lacks; it is written as "
        f"{entry.dtype} {list(entry.shape)}"
        for entry in viewed[:_MAX_NOTES]
    ]


def _listed(parts: dict[object, object]) -> str:
    return " and ".join(map(str, parts))


def _of_one_kind(named: Named, reading: Reading | None = None) -> Named:
    """The tensors; arrays only where there are none: beside tensors, they are the state of a random
    generator or the like, and no weights."""
    torch = [(name, tensor) for name, tensor in named if tensor.kind == "torch"]
    if not 0 < len(torch) < len(named):
        return named
    if reading is not None:
        left = len(named) - len(torch)
        reading.notes.append(f"{left} numpy arrays beside the tensors are left out")
    return torch


def _name_paths(plan: Layout, paths: Named, named: Named) -> list[Entry]:
    """Give each entry its path in the file. Returns entries for what loading gives besides."""
    paths = _of_one_kind(paths)
    if paths == named:
        return []
    found, left = export_names.own_paths(paths, named)
    by_name = {name: path for (name, _), path in zip(named, found, strict=True)}
    for entry in (*plan.entries, *plan.aliases):
        entry.path = by_name[entry.name]
    left = [(path, tensor) for path, tensor in left if not tensor.derived]
    return [layout.single(path, tensor) for path, tensor in left] + plan.aliases
