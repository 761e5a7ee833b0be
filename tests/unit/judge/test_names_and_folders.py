"""What the names in pickles amount to, and what folders bring."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import msgspec
import pytest
from safe_load.export.extracted import Extracted, ExtractedFile, NamedCallable
from safe_load.judge import behaviour, files, pickle_names
from safe_load.judge.compare import Difference
from safe_load.rewrite import results, selection
from safe_load.rewrite.results import ConfigRequest, Configuration
from safe_load.sources.inventory import Entry, Inventory
from safe_load.worker.rewrite import main as room

if TYPE_CHECKING:
    from pathlib import Path

    from safe_load.core.report import Finding


def judged(stock: Inventory) -> list[Finding]:
    """What a folder's judgement is by what its room says of it."""
    files_read = [[each.path, str(each.place), each.size] for each in selection.to_read(stock)]
    argument = {"files": files_read, "python": selection.python_beside(stock), "converted": {}}
    said = results.read(json.loads(json.dumps(room.main(argument, ()))))
    return files.folder(stock, results.configuration(said, {}), exporting=False)


def weighed(name: str, *, called: bool = True, arguments: str = "") -> str:
    return pickle_names.weigh(NamedCallable(name, "REDUCE", called=called, arguments=arguments))[0]


# What pickles name


@pytest.mark.parametrize(
    "name",
    [
        "posix.system", "builtins.eval", "builtins.exec", "subprocess.Popen", "ctypes.CDLL", "runpy._run_code",
        "importlib.import_module", "pip.main", "webbrowser.open", "urllib.request.urlopen", "shutil.rmtree",
        "pathlib.Path.write_text", "pathlib.PosixPath.unlink", "torch.hub.load", "torch.load", "numpy.load",
        "numpy.fromfile", "operator.attrgetter", "operator.methodcaller", "types.FunctionType", "types.CodeType",
        "marshal.loads", "builtins.getattr", "logging.os.system", "random._os.system", "codecs.builtins.exec",
        "IPython.utils.process.system", "django.utils.module_loading.import_string", "torch.serialization.os.system",
        "torch.jit.unsupported_tensor_ops.execWrapper", "extension 7",
    ],
)  # fmt: skip
def test_calling_what_runs_code_or_reaches_files_is_grave_and_naming_it_suspicious(
    name: str,
) -> None:
    assert (weighed(name), weighed(name, called=False)) == ("high", "medium")


@pytest.mark.parametrize(
    "name",
    [
        "gettext.translation",
        "torch.from_numpy",
        "transformers.set_seed",
        "x.Y()",
        "argparse.Namespace.__setstate__",
    ],
)
def test_calling_functions_that_no_checkpoint_needs_is_suspicious(name: str) -> None:
    assert weighed(name) == "medium"


@pytest.mark.parametrize(
    ("name", "use", "text", "severity"),
    [
        # A plain object of a class that is not here: nobody can say what it does, and code weighs.
        ("my_lab.config.Config", "new", "", "low"),
        ("my_lab.config.Config", "new", "path: '/data/x'", "low"),
        ("my_lab.config.Config", "new", "code: '__import__'", "medium"),
        ("my_lab.config.Config", "new", "command: 'sh x'", "medium"),
        ("my_lab.config.Config", "new", "more: there is more", "medium"),
        # Of a library that is here: what honest pickles hold of it is listed.
        ("torch.nn.Thing", "new", "", "medium"),
        ("gettext.GNUTranslations", "new", "", "medium"),
        ("pytest.Config", "new", "", "medium"),
        # A call with arguments: what they are is weighed.
        ("my_lab.config.Config", "call", "", "medium"),
        ("my_lab.config.Config", "call", "code: 'x'", "high"),
        ("my_lab.config.Config", "call", "command: 'x'", "high"),
        ("my_lab.config.Config", "call", "path: '/x'", "high"),
        ("my_lab.config.Config", "call", "address: 'http://x'", "high"),
        ("torch._utils._rebuild_of_a_later_version", "call", "", "medium"),
        # One word or number, as an enumeration's member has.
        ("my_lab.config.Colour", "fields", "", "low"),
        ("my_lab.config.colour", "fields", "", "medium"),
        ("torch.nn.Thing", "fields", "", "medium"),
        # What comes after, and what an object may call.
        ("my_lab.config.Config.append", "items", "", "medium"),
        ("my_lab.config.Config.__setstate__", "state", "", "medium"),
        ("my_lab.config.Config.__hash__", "key", "", "medium"),
        ("my_lab.config.step", "held", "", "medium"),
        ("my_lab.config.Config", "held", "", "low"),
        ("torch.nn.Thing", "held", "", "medium"),
        ("os.system", "held", "", "high"),
    ],
)
def test_a_use_is_weighed_by_what_it_does_and_what_it_is_given(
    name: str, use: str, text: str, severity: str
) -> None:
    named = NamedCallable(name, "REDUCE", called=use != "held", use=use, text=text)
    assert pickle_names.weigh(named)[0] == severity


@pytest.mark.parametrize(
    "name", ["torch.relu", "gettext.translation", "my_lab.step", "torch.nn.functional.mish"]
)
def test_naming_a_function_without_calling_it_is_not(name: str) -> None:
    assert weighed(name, called=False) == "low"


@pytest.mark.parametrize(
    ("arguments", "severity"),
    [
        ("(my_lab.Colour, 'RED')", "low"),
        ("(<my_lab.Schedule(...)>, 'step')", "low"),
        ("(os.path, 'join')", "high"),
        ("(posix, 'system')", "high"),
        ("(pathlib.Path, 'write_text')", "high"),
        ("(<importlib.import_module(...)>, 'system')", "high"),
        ("(my_lab.Colour, '__class__')", "high"),
        ("(my_lab.Colour, 'system')", "high"),
        ("(my_lab.Colour, 'RED', None)", "high"),
        ("", "high"),
    ],
)
def test_getattr_is_ordinary_for_members_of_classes_alone(arguments: str, severity: str) -> None:
    assert weighed("builtins.getattr", arguments=arguments) == severity


def test_many_small_entries_do_not_hide_a_grave_one(tmp_path: Path) -> None:
    small = [
        NamedCallable(f"lab.C{number}", "NEWOBJ", called=True, use="new") for number in range(200)
    ]
    file = ExtractedFile(
        "m.pt",
        "pickle",
        "ok",
        callables=[*small, NamedCallable("posix.system", "REDUCE", called=True)],
    )
    assert files.content(Extracted([file]), inventory(tmp_path))[0].severity == "high"


def test_a_list_of_callables_that_was_cut_is_suspicious(tmp_path: Path) -> None:
    file = ExtractedFile(
        "m.pt", "pickle", "ok", callables=[NamedCallable("lab.C", "REDUCE")] * 1000
    )
    assert "medium" in {
        each.severity for each in files.content(Extracted([file]), inventory(tmp_path))
    }


@pytest.mark.parametrize("format_", ["program", "program in gzip", "program in xz in gzip"])
def test_a_program_given_alone_is_suspicious_packed_or_not(format_: str) -> None:
    file = ExtractedFile("evil.py.gz", format_, "unsupported", "")
    found = files.content(Extracted([file]), Inventory("evil.py.gz", folder=False, entries=()))
    assert ("SL502", "medium") in [(each.id, each.severity) for each in found]


def test_a_pickle_that_names_a_module_lying_beside_it_is_suspicious(tmp_path: Path) -> None:
    file = ExtractedFile("m.pt", "pickle", "ok", packages=["torch", "helper"])
    beside = inventory(tmp_path, helper_dot_py="", other_dot_py="")
    (found,) = files.content(Extracted([file]), beside)
    assert (found.id, found.severity) == ("SL501", "medium")
    assert "helper.py" in found.detail
    (tmp_path / "elsewhere").mkdir()
    assert files.content(Extracted([file]), inventory(tmp_path / "elsewhere", x_dot_py="")) == []


# What folders bring


def inventory(folder: Path, **files: str) -> Inventory:
    entries = []
    for name, text in files.items():
        path = name.replace("_dot_", ".")
        (folder / path).write_text(text)
        status = (folder / path).stat()
        identity = (status.st_dev, status.st_ino)
        entries.append(Entry(path, folder / path, len(text), identity, "text"))
    return Inventory(str(folder), True, tuple(entries))


@pytest.mark.parametrize(
    ("name", "severity"), [("modeling_x", "low"), ("torch", "medium"), ("sitecustomize", "medium")]
)
def test_python_files_are_told_and_planted_ones_suspicious(
    tmp_path: Path, name: str, severity: str
) -> None:
    (one,) = judged(inventory(tmp_path, **{f"{name}_dot_py": ""}))
    assert (one.id, one.severity, one.location) == ("SL502", severity, f"{name}.py")


@pytest.mark.parametrize(
    "template",
    [
        "{{ ''.__class__ }}",
        "{% set x = messages|attr('a') %}",
        "{{ cycler.x }}",
        "{%- include '/etc/passwd' %}",
        "{{ lipsum['x'] }}",
        "{{ ''.__class__",
    ],
)
@pytest.mark.parametrize("escape", [False, True])
def test_templates_that_reach_for_more_than_text_are_found(
    tmp_path: Path, template: str, escape: bool
) -> None:
    text = template.replace("_", "\\u005f") if escape else template.replace('"', '\\"')
    (one,) = judged(inventory(tmp_path, tokenizer_config_dot_json=f'{{"chat_template": "{text}"}}'))
    assert (one.id, one.severity) == ("SL504", "medium")


def test_templates_are_found_in_files_that_only_python_parses(tmp_path: Path) -> None:
    text = '{"a": NaN, "a": 1, "chat_template": "{{ x.\\u005f_class__ }}"}'
    assert [one.id for one in judged(inventory(tmp_path, tokenizer_config_dot_json=text))] == [
        "SL504"
    ]


@pytest.mark.parametrize(
    "template",
    [
        "{% for m in messages %}<|{{ m.role }}|>{{ m['content'] | trim }}{% endfor %}",
        "__init__ {{ bos_token }} __class__",
        "{% macro f(x) %}{{ x | tojson }}{% endmacro %}{% set ns = namespace(a=joiner(',')) %}",
        "{{ raise_exception('no __ here') }}",
        "{% if tools is defined and not loop.last %}{{ strftime_now('%d') }}{% endif %}",
    ],
)
def test_ordinary_templates_are_not(tmp_path: Path, template: str) -> None:
    found = judged(inventory(tmp_path, chat_template_dot_jinja=template))
    assert all(each.severity == "low" for each in found)


def test_a_request_of_a_configuration_is_told_with_its_line(tmp_path: Path) -> None:
    config = '{\n "model_type": "bert",\n "attn_implementation": "evil/kernel"\n}'
    (found,) = judged(inventory(tmp_path, config_dot_json=config))
    assert (found.id, found.line) == ("SL503", 3)


def test_the_gravest_requests_of_a_configuration_come_first() -> None:
    requests = [ConfigRequest("config.json: x", "v", "w", "code", "low")] * 60 + [
        ConfigRequest("config.json: y", "v", "w", "kernel", "high")
    ]
    assert (
        files.folder(Inventory("m", True, ()), Configuration(requests=requests), exporting=False)[
            0
        ].severity
        == "high"
    )


def test_differences_are_told_once_for_each_file_and_kind() -> None:
    differences = [
        Difference("m.pt", name, "bytes", f"{name} differs.") for name in ("a", "b", "c")
    ]
    (one,) = files.integrity(differences)
    assert (one.id, one.location) == ("SL601", "m.pt: a")
    assert "2 more" in one.detail


def test_an_or_of_members_is_honest_and_an_or_of_anything_else_is_not() -> None:
    members = "(<builtins.getattr(...)>, <builtins.getattr(...)>)"
    assert weighed("_operator.or_", arguments=members) == "low"
    assert weighed("_operator.or_", arguments="({'a': 1}, <os.system(...)>)") == "high"


def test_a_package_without_an_init_is_here_where_packages_are_installed_and_nowhere_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for place, package in (("site-packages", "spread_out"), ("work", "just_a_folder")):
        (tmp_path / place / package).mkdir(parents=True)
        monkeypatch.syspath_prepend(str(tmp_path / place))
    assert pickle_names.installed("spread_out")
    assert not pickle_names.installed("just_a_folder")
    made = {"opcode": "NEWOBJ", "member": "", "offset": 0, "arguments": "()", "called": True}
    here = NamedCallable(name="spread_out.tool.Maker", use="new", text="", **made)
    assert pickle_names.weigh(here)[0] == "medium"


def test_a_template_is_told_once_with_what_it_does_and_where() -> None:
    plain = behaviour.finding("SL504", "t.json holds a template that reaches for more", "t.json")
    other = behaviour.finding("SL504", "u.json holds a template that reaches for more", "u.json")
    told = msgspec.structs.replace(plain, detail="A template in t.json asks for x", line=3)
    assert files.said_better([plain, other], [told]) == [other]
    assert files.said_better([plain], [msgspec.structs.replace(told, line=None)]) == [plain]
