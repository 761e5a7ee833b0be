"""What recorded calls and the files' own words amount to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from safe_load import judge, judge_files, naming
from safe_load.compare import Difference
from safe_load.configuration.config_asks import Ask
from safe_load.inside import Extracted, ExtractedFile, NamedCallable
from safe_load.inventory import Entry, Inventory
from safe_load.profiles import rules
from safe_load.report import Event

if TYPE_CHECKING:
    from pathlib import Path


def event(syscall: str, decision: Any = "allowed", **args: Any) -> Event:
    return Event(
        t=1.0, stage="detonate", pid=2, comm="worker", syscall=syscall, args=args, decision=decision
    )


def found(*events: Event) -> list[tuple[str, str]]:
    return [(each.id, each.severity) for each in judge.behaviour(events).findings]


def weighed(name: str, *, called: bool = True, arguments: str = "") -> str:
    return naming.weigh(NamedCallable(name, "REDUCE", called=called, arguments=arguments))[0]


# What was recorded


@pytest.mark.parametrize(
    "path",
    [
        "/proc/mounts",
        "/sys/devices/system/cpu/possible",
        "/usr/lib/x86_64-linux-gnu/libgomp.so.1",
        "/root/.pyenv/versions/3.11.7/lib/libz.so.1",
        "/home/me/miniconda3/lib/libstdc++.so.6",
        "/tmp/torch_x",
    ],
)
def test_what_honest_loads_read_is_no_finding(path: str) -> None:
    assert found(event("openat", path=path, flags="O_RDONLY")) == []


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/home/user/.ssh/id_rsa", ("SL301", "high")),
        ("/proc/self/environ", ("SL301", "high")),
        ("/proc/1/environ", ("SL301", "high")),
        ("/etc/shadow", ("SL301", "high")),
        ("/home/user", ("SL303", "medium")),
        ("/srv/data.csv", ("SL303", "medium")),
        ("/etc/machine-id", ("SL303", "low")),
        ("/home/user/.matplotlib", ("SL303", "low")),
    ],
)
def test_what_no_load_needs_to_read_is_one(path: str, expected: tuple[str, str]) -> None:
    assert found(event("openat", path=path, flags="O_RDONLY")) == [expected]


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        (event("openat", path="/etc/cron.d/x", flags="O_WRONLY|O_CREAT"), ("SL302", "medium")),
        (event("rename", old="/tmp/x", new="/usr/lib/x.so"), ("SL302", "medium")),
        (event("symlink", target="/etc", path="/home/user/x"), ("SL302", "medium")),
        (event("mkdir", path="/home/user/.cache/x"), ("SL302", "low")),
        (event("execve", "denied", path="/bin/sh", argv=["sh", "-c", "id"]), ("SL101", "high")),
        (
            event(
                "connect", "denied", to={"family": "AF_INET", "address": "203.0.113.7", "port": 80}
            ),
            ("SL201", "high"),
        ),
        (
            event("connect", "denied", to={"family": "AF_UNIX", "address": "/run/docker.sock"}),
            ("SL203", "medium"),
        ),
        (
            event("bind", address={"family": "AF_INET", "address": "0.0.0.0", "port": 80}),
            ("SL203", "medium"),
        ),
        (event("socket", "denied", family="AF_PACKET"), ("SL203", "medium")),
        (event("ptrace", "denied", request=0), ("SL401", "high")),
        (event("prctl", "denied", option=4), ("SL401", "medium")),
    ],
)
def test_what_no_load_does_is_a_finding(call: Event, expected: tuple[str, str]) -> None:
    assert found(call) == [expected]


@pytest.mark.parametrize(
    "call",
    [
        event("openat", path="/tmp/x", flags="O_WRONLY|O_CREAT"),
        event("mkdir", path="/tmp/x"),
        event("mbind", "denied"),
        event("socket", "denied", family="AF_NETLINK"),
        event("connect", "denied", to={"family": "AF_UNIX", "address": "/var/run/nscd/socket"}),
        event("bind", address={"family": "AF_UNIX", "address": "@x"}),
        event("openat", path=None, flags="O_RDONLY"),
        event("connect", "denied", to=None),
    ],
)
def test_what_honest_libraries_try_is_no_finding(call: Event) -> None:
    assert found(call) == []


def test_equal_findings_are_one_with_all_their_evidence() -> None:
    read = event("openat", path="/etc/shadow", flags="O_RDONLY")
    (one,) = judge.behaviour([read, event("mbind", "denied"), read]).findings
    assert one.evidence == [0, 2]


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
    "name",
    [
        "my_lab.config.Config", "pandas._libs.internals._unpickle_block", "sklearn.tree._tree.Tree",
        "torch.utils.data.dataset.Subset", "torch._utils._rebuild_of_a_later_version", "torch.nn.Thing",
        "numpy.random.new.__pyx_unpickle_Generator", "io.BytesIO", "fairseq.dataclass.configs.FairseqConfig",
    ],
)  # fmt: skip
def test_calling_what_honest_checkpoints_call_is_not(name: str) -> None:
    assert weighed(name) == "low"


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


def test_many_small_entries_do_not_hide_a_grave_one() -> None:
    small = [NamedCallable(f"lab.C{number}", "REDUCE", called=True) for number in range(200)]
    file = ExtractedFile(
        "m.pt",
        "pickle",
        "ok",
        callables=[*small, NamedCallable("posix.system", "REDUCE", called=True)],
    )
    assert judge_files.content(Extracted([file]))[0].severity == "high"


def test_a_list_of_callables_that_was_cut_is_suspicious() -> None:
    file = ExtractedFile(
        "m.pt", "pickle", "ok", callables=[NamedCallable("lab.C", "REDUCE")] * 1000
    )
    assert "medium" in {each.severity for each in judge_files.content(Extracted([file]))}


# What folders bring


def stock(folder: Path, **files: str) -> Inventory:
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
    (one,) = judge_files.folder(stock(tmp_path, **{f"{name}_dot_py": ""}), [])
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
    (one,) = judge_files.folder(
        stock(tmp_path, tokenizer_config_dot_json=f'{{"chat_template": "{text}"}}'), []
    )
    assert (one.id, one.severity) == ("SL504", "medium")


def test_templates_are_found_in_files_that_only_python_parses(tmp_path: Path) -> None:
    text = '{"a": NaN, "a": 1, "chat_template": "{{ x.\\u005f_class__ }}"}'
    assert [
        one.id for one in judge_files.folder(stock(tmp_path, tokenizer_config_dot_json=text), [])
    ] == ["SL504"]


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
    assert judge_files.folder(stock(tmp_path, chat_template_dot_jinja=template), []) == []


def test_the_gravest_requests_of_a_configuration_come_first() -> None:
    asks = [Ask("config.json: x", "v", "w", "code", "low")] * 60 + [
        Ask("config.json: y", "v", "w", "kernel", "high")
    ]
    assert judge_files.folder(Inventory("m", True, ()), asks)[0].severity == "high"


def test_differences_are_told_once_for_each_file_and_kind() -> None:
    differences = [
        Difference("m.pt", name, "bytes", f"{name} differs.") for name in ("a", "b", "c")
    ]
    (one,) = judge_files.integrity(differences)
    assert (one.id, one.location) == ("SL601", "m.pt: a")
    assert "2 more" in one.detail


# The baseline


@pytest.mark.parametrize("path", rules("baseline")["reads"]["recorded"])
def test_what_the_baseline_recorded_is_no_finding(path: str) -> None:
    assert found(event("openat", path=path, flags="O_RDONLY")) == []


def test_an_honest_load_makes_no_call_that_is_refused() -> None:
    assert rules("baseline")["calls"]["refused"] == []


def test_a_record_that_lost_something_is_a_finding() -> None:
    assert [each.severity for each in judge.record(dropped=1)] == ["medium"]
    assert judge.record(dropped=0) == []


def test_a_file_of_which_the_worker_says_nothing_is_a_finding() -> None:
    (each,) = judge.account(["a.bin", "b.bin"], ["a.bin"])
    assert (each.id, each.severity, each.location) == ("SL601", "high", "b.bin")


def test_what_happened_is_told_with_the_call_that_it_came_from() -> None:
    call = NamedCallable("os.system", "REDUCE", "x/data.pkl", 17, "('curl x',)", called=True)
    seen = judge.behaviour(
        [event("execve", "denied", path="/bin/sh", argv=["sh", "-c", "curl x"])]
    ).findings
    extracted = Extracted([ExtractedFile("m.bin", "torch-zip", "ok", callables=[call])])
    (joined,) = judge_files.joined(seen, extracted)
    assert "It came from m.bin: os.system at byte 17 of x/data.pkl" in joined.detail


def test_an_or_of_members_is_honest_and_an_or_of_anything_else_is_not() -> None:
    members = "(<builtins.getattr(...)>, <builtins.getattr(...)>)"
    assert weighed("_operator.or_", arguments=members) == "low"
    assert weighed("_operator.or_", arguments="({'a': 1}, <os.system(...)>)") == "high"
