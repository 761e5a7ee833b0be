"""What an archive of files comes to: each member is judged as a file, and their weights come out together. Zone: worker.

The rule for weights, also for archives in archives:

- Where one member holds weights, its tensors keep their names; so do those of members of one folder that are
  numbered as shards of one model.
- Of weights that transformers would not load, because others of their folder come first (`pytorch_model.bin`
  beside `model.safetensors`), of what training needs besides a model (optimizers, schedulers, states of random
  generators), and of what stable-baselines3 keeps beside `policy.pth`, nothing comes out, and a note says so.
- Where several members hold weights, a tensor is called MEMBER/NAME: the path of the member without its last
  suffix, and the name in it. The controller makes a file of each member of it, ARCHIVE/MEMBER.safetensors, in which
  the tensors have their own names; where a path cannot be a file's, all stay in ARCHIVE.safetensors.
"""

from __future__ import annotations

import posixpath
import re
from typing import TYPE_CHECKING

from safe_load.worker.formats.interface import Content
from safe_load.worker.refusal import RefusedError
from safe_load.worker.tensors import layout

if TYPE_CHECKING:
    from safe_load.worker.formats.interface import File, Reading

#: What training needs besides the weights.
_TRAINING = re.compile(
    r"(?:^|[/._-])(?:optim|optimizer|scheduler|scaler|rng_state|random_states|training_args|trainer_state)"
    r"(?:[/._-]|\d|$)"
)
#: stable_baselines3/common/base_class.py, save: the policy, beside its optimizer and further variables.
_POLICY, _DATA = "policy.pth", "data"
#: Of each row, the first that lies in a folder is what transformers, peft and diffusers load.
_FIRST = (
    ("model.safetensors", "pytorch_model.bin"),
    ("adapter_model.safetensors", "adapter_model.bin"),
    ("diffusion_pytorch_model.safetensors", "diffusion_pytorch_model.bin"),
)
_SHARD = re.compile(r"(.+)-\d{5}-of-\d{5}(\.\w{1,20})")
_SHOWN = 8
#: Archives that people unpack, and load as a folder.
_UNPACKED = frozenset(("zip", "tar", "7z"))

Holding = list[tuple[str, Content]]


def members_of(
    parts: list[File], reading: Reading, name: str, paths: dict[str, str] | None = None
) -> Content:
    """Judge each member as a file, and lay out their weights. paths: how the object that the archive holds
    names its members, of which those without a path are left out. Raises RefusedError for a bomb, and for
    names that stand twice: readers differ in which of the members they take."""
    content = Content(name, "data", "an archive of data", loads=False)
    holding: Holding = []
    seen: set[str] = set()
    twice = ""
    for part in parts:
        path = posixpath.normpath(part.name.replace("\\", "/"))
        twice = twice or (part.name if path.casefold() in seen else "")
        seen.add(path.casefold())
        inner = _judged(part, reading)
        part.span.source.release()
        if inner.plan is not None and inner.plan.entries:
            holding.append((path, inner))
        if inner.state == "not_judged" and content.state != "not_judged":
            content.state = "not_judged"
            content.why = f"{part.name[:200]!a} in the archive: {inner.why}"
        elif inner.state == "opened" and content.state == "data":
            content.state, content.why = "opened", "an archive whose members were all read"
    if name in _UNPACKED:
        _configured(parts, reading)
        _brought(parts, reading)
    if twice:
        raise RefusedError(
            f"it holds {twice[:200]!a} twice, and readers differ in which of the two they take"
        )
    if paths is not None:
        _named(content, holding, paths, reading)
    elif holding:
        _weights(content, holding, any(part.name == _DATA for part in parts), reading)
    return content


def _configured(parts: list[File], reading: Reading) -> None:
    """Tell what the configuration among the members asks for. Later than their own findings, which say more."""
    from safe_load.worker.rewrite import members  # noqa: PLC0415 - only archives take its tables

    for ident, sentence in members.asked([_Member(part) for part in parts]):
        reading.carries(ident, sentence)


def _brought(parts: list[File], reading: Reading) -> None:
    """Tell of the modules that pickles among the members name and that lie beside them."""
    for part in parts:
        steps = posixpath.normpath(part.name).split("/")
        if steps[-1].endswith((".py", ".pyc", ".so")):
            modules = {*steps[:-1], steps[-1].partition(".")[0]} & reading.packages.keys()
            for module in sorted(modules):
                reading.carries(
                    "SL506",
                    f"holds a pickle that names the module {module}, and {part.name[:200]!a}: a program that opens "
                    "the pickle where they were unpacked runs that code",
                )


class _Member:
    """A member, as what judges configuration is given it."""

    def __init__(self, part: File) -> None:
        self.name = posixpath.normpath(part.name)
        self.size = part.size
        self._part = part

    def read(self) -> bytes:
        return self._part.read(0, self._part.size)


def _named(content: Content, holding: Holding, paths: dict[str, str], reading: Reading) -> None:
    """The arrays of an object whose parts are members; one that is called `tensor` has its member's path."""
    given: list[tuple[str, layout.Layout]] = []
    for member, inner in holding:
        if inner.plan is None or member not in paths:
            continue
        for entry in inner.plan.entries:
            entry.name = paths[member] + ("" if entry.name == "tensor" else f".{entry.name}")
        given.append(("", inner.plan))
    if given:
        content.plan, content.loads = layout.merged(given, reading.limit), True


def _judged(part: File, reading: Reading) -> Content:
    try:
        return reading.judge(part)
    except RefusedError as refusal:
        if refusal.status == "bomb":
            raise
        return Content(refusal.format or "unknown", refusal.state or "not_judged", refusal.reason)


def _weights(content: Content, holding: Holding, beside_data: bool, reading: Reading) -> None:
    chosen = _chosen(holding, beside_data)
    if len(chosen) < len(holding):
        kept = {path for path, _ in chosen}
        left = [path for path, _ in holding if path not in kept]
        reading.notes.append(
            f"of the archive's members with tensors, {_listed(left)} are not exported: they come second, or "
            "are what training needs"
        )
    layouts = [inner.plan for _, inner in chosen if inner.plan is not None]
    if len(chosen) == 1:
        content.plan, content.left = layouts[0], chosen[0][1].left
    else:
        prefixes = [""] * len(chosen)
        if not (_are_shards(chosen) and _are_distinct(layouts)):
            prefixes = _prefixes([path for path, _ in chosen])
            reading.notes.append(
                f"{len(chosen)} members of the archive hold weights, {_listed([p for p, _ in chosen])}: each is "
                "exported as a file of its own"
            )
        content.plan = layout.merged(list(zip(prefixes, layouts, strict=True)), reading.limit)
    content.loads = True


def _chosen(holding: Holding, beside_data: bool) -> Holding:
    policy = [item for item in holding if item[0] == _POLICY]
    if policy and beside_data:
        return policy
    second = set()
    stock = {(path.rpartition("/")[0], _stock(path)) for path, _ in holding}
    for path, _ in holding:
        folder = path.rpartition("/")[0]
        if any(_stock(path) == other and (folder, first) in stock for first, other in _FIRST):
            second.add(path)
    chosen = [item for item in holding if item[0] not in second]
    weights = [item for item in chosen if not _TRAINING.search(item[0].lower())]
    return weights or chosen


def _stock(path: str) -> str:
    """The name of a file without the number of a shard."""
    name = path.rpartition("/")[2]
    found = _SHARD.fullmatch(name)
    return found[1] + found[2] if found else name


def _are_shards(chosen: Holding) -> bool:
    """Whether all are numbered shards of one model in one folder."""
    found = [_SHARD.fullmatch(path) for path, _ in chosen]
    return all(found) and len({(each[1], each[2]) for each in found if each}) == 1


def _are_distinct(layouts: list[layout.Layout]) -> bool:
    names = [entry.name for each in layouts for entry in (*each.entries, *each.aliases)]
    return len(names) == len(set(names))


def _prefixes(paths: list[str]) -> list[str]:
    """A path without its suffix for each, with it where it would stand twice."""
    bare = [posixpath.splitext(path)[0] for path in paths]
    return [
        f"{path if bare.count(stem) > 1 else stem}/" for path, stem in zip(paths, bare, strict=True)
    ]


def _listed(paths: list[str]) -> str:
    more = f" and {len(paths) - _SHOWN} more" if len(paths) > _SHOWN else ""
    return ", ".join(ascii(path[:120]) for path in paths[:_SHOWN]) + more
