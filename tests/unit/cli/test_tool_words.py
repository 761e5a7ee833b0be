"""A tool's command line is read without click where it is plain, and both readers know and say the same."""

from __future__ import annotations

from itertools import permutations, product

import click
import pytest
from safe_load.cli import tool_commands, tool_words

pytestmark = pytest.mark.anyone

OPTIONS = [each for each in tool_commands.run.params if isinstance(each, click.Option)]
COMMAND = ["server", "--allow", "x", "--", "-q"]


def by_click(words: list[str]) -> dict[str, object] | None:
    try:
        return tool_commands.run.make_context("run", list(words)).params
    except click.UsageError:
        return None


def value_of(option: click.Option) -> str:
    return option.type.choices[0] if isinstance(option.type, click.Choice) else "some=value"


def spellings() -> tuple[list[list[str]], list[list[str]]]:
    """Every option in each of its ways, alone: those that are plain, and those whose value is not."""
    plain, odd = [], []
    for option in OPTIONS:
        for name in option.opts:
            if option.is_flag:
                plain.append([name])
            else:
                plain += [[name, value_of(option)], [f"{name}={value_of(option)}"]]
                odd += [[name, "-x"], [f"{name}="]]
    return plain, odd


def test_the_commands_take_what_the_table_holds() -> None:
    for command in (tool_commands.run, tool_commands.mcp_wrap):
        known = {name for each in command.params if isinstance(each, click.Option) for name in each.opts}  # fmt: skip
        assert known == {
            name
            for flag in (*tool_words.TOOL, *tool_words.REPORTS)
            for name in (flag.name, flag.short)
            if name
        }


def test_every_option_is_read_as_click_reads_it() -> None:
    ways, odd = spellings()
    assert len(ways) > 20
    lines = [[], *ways, *([*one, *other] for one, other in product(ways, ways))]
    for words in ([*line, *end] for line in lines for end in (["--", *COMMAND], COMMAND)):
        plain = tool_words.read(words)
        assert plain is not None, words
        assert plain == by_click(words), words
    for line in (line for pair in product(odd, [*odd, *ways]) for line in permutations(pair)):
        words = [*line[0], *line[1], "--", *COMMAND]
        plain = tool_words.read(words)
        assert plain is None or plain == by_click(words), words


@pytest.mark.parametrize(
    "words",
    [
        [], ["--"], ["--help"], ["-h", "--", "x"], ["--allow"], ["--alow", "h:1", "x"], ["-qq", "x"], ["--quiet=yes", "x"],
        ["-q=1", "x"], ["--fail-on", "nothing", "x"], ["--allow", "h:1"], ["-x", "x"], ["--fail-on=HIGH", "x"],
    ],
)  # fmt: skip
def test_what_is_not_plain_is_left_to_click(words: list[str]) -> None:
    assert tool_words.read(words) is None


def test_a_word_that_is_only_a_dash_begins_the_command() -> None:
    for words in (["-q", "-", "x"], ["-", "--help"]):
        assert tool_words.read(words) == by_click(words)
