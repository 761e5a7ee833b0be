"""Writes a pin into the lines that name a link, as the kind of file and of program has it.

Zone: controller. Text is replaced and parsed by nobody; a line that is not as expected stays, and the caller tells the fix.
A line that is added stands in the entry of its neighbour, behind a line break.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from safe_load.register.words import LONGEST_LINE

if TYPE_CHECKING:
    from safe_load.register.rows import Reference

_END = r"""(?=["'\s,;\]\)`}#]|\\|$)"""
_BEFORE = r"""(?<![\w@/.-])"""
#: Lines around a name in which its revision, its tag or the rest of its command may stand.
_NEAR = 12
#: Images whose programs read MODEL_ID and REVISION.
_READ_REVISION = re.compile(r"text-generation-inference|text-embeddings-inference")


def write(lines: list[str], each: Reference, exact: str, path: str) -> bool:
    """Pin a link. Returns whether its lines could be changed."""
    at = (each.call.line if each.call is not None and each.call.text else each.line) - 1
    # A line without end costs patterns a time without end.
    if any(len(line) > LONGEST_LINE for line in lines[max(0, at - _NEAR) : at + _NEAR]):
        return False
    if each.call is not None and each.call.text:
        return _call(lines, each, exact, path)
    if not 0 <= at < len(lines):
        return False
    if each.ecosystem == "hub":
        return _model(lines, at, each, exact, path)
    if each.ecosystem == "oci":
        return _image(lines, at, each, exact)
    made = _EDITS.get(each.ecosystem, _same)(lines[at], each, exact, path)
    changed = made != lines[at]
    lines[at] = made
    return changed


def _same(line: str, *_: object) -> str:
    return line


def _npm(line: str, each: Reference, exact: str, path: str) -> str:
    name = re.escape(each.name)
    if path.endswith("package.json") and re.search(rf'"{name}"\s*:', line):
        return re.sub(rf'("{name}"\s*:\s*")[^"]*(")', rf"\g<1>{exact}\g<2>", line, count=1)
    return re.sub(
        rf"{_BEFORE}{name}(?:@[^\"'\s,\]]*)?{_END}", f"{each.name}@{exact}", line, count=1
    )


def _pypi(line: str, each: Reference, exact: str, path: str) -> str:
    # Names of PyPI are written with any of "-", "_" and "." and in any case.
    loose = re.sub(r"\\?-", "[-_.]", re.escape(each.name))
    table = re.match(rf"(?i)(\s*[\"']?{loose}[\"']?\s*=\s*)(.*)$", line, re.DOTALL)
    if path.endswith((".toml", "Pipfile")) and table:  # Poetry and Pipfile: name = "range"
        rest = re.sub(
            r"^([\"'])[^\"']*\1|(?<=\bversion = )([\"'])[^\"']*\2|(?<=\bversion=)([\"'])[^\"']*\3",
            f'"=={exact}"',
            table[2],
            count=1,
        )
        return table[1] + rest
    spec = r"(\[[^\]]*\])?(?:\s*(?:[<>=!~]=?|===|@)[^;\"'#]*?)?"
    return re.sub(
        rf"(?i){_BEFORE}({loose}){spec}(?=[\"'`;#\\]|\s+[;#-]|\s*$|\s+[A-Za-z])",
        rf"\g<1>\g<2>=={exact}",
        line,
        count=1,
    )


def _git(line: str, each: Reference, exact: str, path: str) -> str:
    """git+https://...@REF, github:ORG/NAME#REF, and the tables of Poetry and uv."""
    table = re.search(r"\bgit\s*=\s*[\"'][^\"']+[\"']", line)
    if path.endswith((".toml", "Pipfile")) and table:
        if each.value:
            key = rf"\b(?:rev|ref|tag|branch)\s*=\s*[\"']{re.escape(each.value)}[\"']"
            return re.sub(key, f'rev = "{exact}"', line, count=1)
        return f'{line[: table.end()]}, rev = "{exact}"{line[table.end() :]}'
    name = re.escape(each.name)
    if path.endswith("package.json") and re.search(rf'"{name}"\s*:', line):
        return re.sub(rf'("{name}"\s*:\s*"[^"#]+)(?:#[^"]*)?"', rf'\g<1>#{exact}"', line, count=1)
    if "github:" in line:
        address = rf"((?:github:|git\+https?://[^\"'\s#]*/|{_BEFORE}){name}(?:\.git)?)(?:#[\w./-]+)?{_END}"
        made = re.sub(address, rf"\g<1>#{exact}", line, count=1)
        if made != line:
            return made
    ref = f"@{re.escape(each.value)}" if each.value else ""
    return re.sub(
        rf"((?:git|hg)\+[a-z]+://[^\s\"'@#;]+?){ref}(?=[\s\"'#;,\]]|$)",
        rf"\g<1>@{exact}",
        line,
        count=1,
    )


def _github(line: str, each: Reference, exact: str, _path: str) -> str:
    """torch.hub: ORG/NAME:REF."""
    ref = f":{re.escape(each.value)}" if each.value else ""
    return re.sub(
        rf"([\"']){re.escape(each.name)}{ref}\1", rf"\g<1>{each.name}:{exact}\g<1>", line, count=1
    )


_EDITS = {"npm": _npm, "pypi": _pypi, "git": _git, "github": _github}


def _image(lines: list[str], at: int, each: Reference, digest: str) -> bool:
    """name:tag becomes name:tag@sha256:DIGEST; a chart that writes the parts gets it behind its tag."""
    name, tag = re.escape(each.name), re.escape(each.value or "")
    whole = rf"({_BEFORE}{name}{f':{tag}' if tag else ''}){_END}"
    for number in range(at, min(at + _NEAR, len(lines))):
        parts = re.match(
            rf"\s*(?:-\s+)?repository:\s*[\"']?{name}[\"']?\s*(?:#.*)?$", lines[number]
        )
        if parts and not tag:
            return False
        if parts:
            return _tag(lines, number, tag, digest)
        made = re.sub(whole, rf"\g<1>@{digest}", lines[number], count=1)
        if made != lines[number]:
            lines[number] = made
            return True
        if not _goes_on(lines[number]):
            break
    return False


def _tag(lines: list[str], at: int, tag: str, digest: str) -> bool:
    for number in sorted(range(max(0, at - 4), min(at + 5, len(lines))), key=lambda n: abs(n - at)):
        made = re.sub(
            rf"^(\s*tag:\s*)[\"']?{tag}[\"']?(?=\s|$)",
            rf'\g<1>"{tag}@{digest}"'.replace("\\.", "."),
            lines[number],
        )
        if made != lines[number]:
            lines[number] = made
            return True
    return False


def _goes_on(line: str) -> bool:
    """Whether the next line may belong to the same command."""
    return line.rstrip().endswith(("\\", ">", "|", ">-", "|-", "[")) or bool(
        re.match(r"\s*(?:-\s|--?\w)", line)
    )


def _model(lines: list[str], at: int, each: Reference, exact: str, path: str) -> bool:
    """A model in a link, in a revision beside it, in a command or a list of arguments, in a variable."""
    return (
        _linked(lines, at, each, exact)
        or (bool(each.value) and _replaced(lines, at, each, exact))
        or (not each.value and _argument(lines, at, each, exact))
        or (not each.value and _variable(lines, at, each, exact))
        or (not each.value and _script(lines, at, each, exact, path))
    )


def _linked(lines: list[str], at: int, each: Reference, exact: str) -> bool:
    line, name = lines[at], re.escape(each.name)
    made = line
    if each.value and f"/{each.value}/" in line:
        made = re.sub(
            rf"(/{name}/(?:resolve|raw|blob))/{re.escape(each.value)}/",
            rf"\g<1>/{exact}/",
            line,
            count=1,
        )
    elif prefixed := re.search(
        rf"(hf://|huggingface://|hf-hub:|hf_hub:){name}(?:[:@][\w.-]+)?{_END}", line
    ):
        # KServe and others of its kind write the revision behind ":".
        mark = ":" if re.search(r"(?i)uri", line[: prefixed.start()]) else "@"
        made = f"{line[: prefixed.start()]}{prefixed[1]}{each.name}{mark}{exact}{line[prefixed.end() :]}"
    elif re.search(rf"git clone https?://\S*/{name}(?:\.git)?(?=\s*(?:$|&&|;))", line):
        folder = each.name.rpartition("/")[2]
        made = re.sub(
            rf"(git clone https?://\S*/{name}(?:\.git)?)(?=\s*(?:$|&&|;))",
            rf"\g<1> && git -C {folder} checkout {exact}", line, count=1,
        )  # fmt: skip
    lines[at] = made
    return made != line


def _replaced(lines: list[str], at: int, each: Reference, exact: str) -> bool:
    """A revision that stands beside the name: an option, a key, a variable; the nearest one."""
    value = re.escape(each.value or "")
    forms = (
        rf"(--[\w-]*revision[=\s\"',]+){value}{_END}",
        rf"((?i:[\w.-]*(?:revision|commit|commit_hash|sha|rev))[\"']?\s*[:=]\s*[\"']?){value}{_END}",
    )
    below = (r"(?i)^\s*-\s+[\"']?--[\w-]*revision[\"']?\s*$|^\s*-?\s*name:\s*[\"']?\w*revision[\"']?\s*$",
             rf"(^\s*(?:-|value:)\s+[\"']?){value}{_END}")  # fmt: skip
    near = range(max(0, at - _NEAR), min(at + _NEAR, len(lines)))
    for number in sorted(near, key=lambda n: (abs(n - at), n < at)):
        for form in forms:
            made = re.sub(form, rf"\g<1>{exact}", lines[number], count=1)
            if made != lines[number]:
                lines[number] = made
                return True
        if number and re.search(below[0], lines[number - 1]):
            made = re.sub(below[1], rf"\g<1>{exact}", lines[number], count=1)
            if made != lines[number]:
                lines[number] = made
                return True
    return False


def _argument(lines: list[str], at: int, each: Reference, exact: str) -> bool:
    """A command that takes the revision as an option: it is written behind the name."""
    told = re.search(r"(--[\w-]*revision) COMMIT$", each.fix)
    if told is None:
        return False
    option, name = told[1], re.escape(each.name)
    for number in range(at, min(at + _NEAR, len(lines))):
        line = lines[number]
        item = re.fullmatch(rf"(\s*-\s+)([\"']?)((?:--[\w-]+[= ])?){name}\2(\s*)", line)
        listed = re.fullmatch(rf"(\s*)\"((?:--[\w-]+=)?){name}\"(\s*,?\s*)", line)
        if item:
            start, quote, before = item[1], item[2], item[3].strip()
            parts = [f"{option}={exact}"] if before.endswith("=") else [f"{option} {exact}"] if before else [option, exact]  # fmt: skip
            lines[number] = line + "".join(f"\n{start}{quote}{part}{quote}" for part in parts)
            return True
        if listed:
            start = listed[1]
            lines[number] = (
                f'{line.rstrip().rstrip(",")},\n{start}"{option}",\n{start}"{exact}"{listed[3].rstrip()}'
            )
            return True
        made = re.sub(
            rf"(([\"'])(?:--[\w-]+=)?{name}\2)(?=\s*[,\]])",
            rf"\g<1>, \g<2>{option}\g<2>, \g<2>{exact}\g<2>",
            line,
            count=1,
        )
        if made == line and re.search(r"(?:--|-m |\bserve |\bdownload |^\s*)", line):
            made = re.sub(
                rf"(?<![\w/.-]){name}(?=[\s\\&;|\"']|$)",
                f"{each.name} {option} {exact}",
                line,
                count=1,
            )
        if made != line:
            lines[number] = made
            return True
        if not _goes_on(line) and number > at:
            return False
    return False


def _variable(lines: list[str], at: int, each: Reference, exact: str) -> bool:
    """MODEL_ID of the images that read REVISION too: it is set beside."""
    if not _READ_REVISION.search("\n".join(lines)):
        return False
    line, name = lines[at], re.escape(each.name)
    if re.fullmatch(
        rf"\s*(?:export\s+|ENV\s+|-\s+)?[\"']?MODEL_ID[\"']?\s*(?:=|:\s)\s*[\"']?{name}[\"']?\s*",
        line,
    ):
        lines[at] = (
            f"{line}\n{line.replace('MODEL_ID', 'REVISION', 1).replace(each.name, exact, 1)}"
        )
        return True
    above = lines[at - 1] if at else ""
    named = re.fullmatch(r"(\s*-\s+name:\s*)([\"']?)MODEL_ID\2\s*", above)
    if named and re.fullmatch(rf"\s*value:\s*[\"']?{name}[\"']?\s*", line):
        lines[at] = f"{line}\n{named[1]}REVISION\n{line.replace(each.name, exact, 1)}"
        return True
    return False


def _script(lines: list[str], at: int, each: Reference, exact: str, path: str) -> bool:
    """transformers.js takes the revision in its options, behind the name."""
    if not re.search(r"\.[cm]?[jt]sx?$|\.vue$|\.svelte$", path):
        return False
    line, name = lines[at], re.escape(each.name)
    made = re.sub(
        rf"((['\"`]){name}\2\s*,\s*\{{)(\s*)", rf"\g<1> revision: '{exact}', ", line, count=1
    )
    if made == line:
        made = re.sub(
            rf"((['\"`]){name}\2)(?=\s*\))", rf"\g<1>, {{ revision: '{exact}' }}", line, count=1
        )
    lines[at] = made
    return made != line


def _call(lines: list[str], each: Reference, exact: str, path: str) -> bool:
    """A call in Python: its revision is replaced, or added before what closes it."""
    if each.call is None or not 0 < each.call.line <= len(lines):
        return False
    cell = path.endswith(".ipynb")
    quote = "'" if cell else '"'
    text = each.call.text.replace('"', quote).replace("PIN", f"{quote}{exact}{quote}")
    at, start, end = each.call.line - 1, each.call.start, each.call.end
    data = lines[at].encode("utf-8", "surrogateescape")
    head, tail = (part.decode("utf-8", "surrogateescape") for part in (data[:start], data[end:]))
    if start < end:  # the revision that is there
        lines[at] = f"{head}{text}{tail}"
        return True
    if not tail.startswith((")", "}")):
        return False
    bare = head.strip().removeprefix('"').strip() if cell else head.strip()
    if bare:
        joint = "" if bare.endswith(("(", "{")) else " " if bare.endswith(",") else ", "
        lines[at] = f"{head.rstrip()}{joint}{text}{tail}"
        return True
    return _line_before(lines, at, f"{text},", cell=cell)


def _line_before(lines: list[str], at: int, argument: str, *, cell: bool) -> bool:
    """An argument on a line of its own, above the parenthesis that closes its call."""
    above = lines[at - 1] if at else ""
    line = re.fullmatch(r'(\s*"\s*)(\S.*?)(\\n",\s*)' if cell else r"(\s*)(\S.*?)(\s*)", above)
    if line is None or "#" in line[2] or "\n" in above:
        return False
    comma = "" if line[2].endswith((",", "(", "{")) else ","
    lines[at - 1] = f"{line[1]}{line[2]}{comma}{line[3]}\n{line[1]}{argument}{line[3]}"
    return True
