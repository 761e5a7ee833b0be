"""Templates that put text together pass, as real ones are written; all that reach further do not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from safe_load.worker.rewrite import chat_templates
from safe_load.worker.rewrite.files import File
from safe_load.worker.rewrite.template_ast import refusal

if TYPE_CHECKING:
    from pathlib import Path

CHATML = (
    "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + "
    "'<|im_end|>' + '\n'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
HONEST = [
    CHATML,
    (
        "{%- set ns = namespace(found=false, i=0) %}{%- for m in messages %}{%- if loop.index0 % 2 == 0 %}"
        "{% set ns.i = ns.i + 1 %}{% set ns.t = ns.t ~ 'x' %}{{ messages[ns.i].content|trim }}{% endif %}"
        "{%- endfor %}{{ bos_token }}{{ strftime_now('%d %b %Y') }}{{ raise_exception('no') }}"
    ),
    (
        "{% macro render(p) %}{{ p['type'] }}{% for k, v in p.properties|dictsort %}{{ k }}: {{ render(v) }}"
        "{% endfor %}{% endmacro %}{{ render(tools[0]) }}{% generation %}{{ messages[-1].content }}{% endgeneration %}"
    ),
    "{% for m in messages %}{% if m is string %}{% break %}{% endif %}{% continue %}{% endfor %}",
    "{{ messages | selectattr('role', 'equalto', 'user') | map(attribute='content') | join(', ') }}",
    "{{ tools | tojson(indent=4) }}{{ '=' * 20 }}{{ x.split('</think>')[-1].lstrip('\\n') }}",
    "{{ messages[::-1][loop.index0 - 1] }}{{ messages[(messages|length - 1)]['role'] }}",
    "{% if ('__' in name) or name.endswith('_') %}{{ eos_token }}{% endif %}{{ messages[1:][0]['role'] }}",
    "{{ messages[0].content if messages[0].role == 'system' else 'You are ' ~ name }}",
]
HOSTILE = {
    "an attribute of Python's": "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "the same by subscript": "{{ ''['__class__'] }}",
    "the same with escapes": r"{{ ''['\x5f\x5fclass\x5f\x5f'] }}",
    "the same by filter": "{{ ''|attr('__class__') }}",
    "the same by mapping": "{{ x|map(attribute='__class__')|list }}",
    "a filter by its name": "{{ x|map('attr', '__class__')|list }}",
    "a filter by a computed name": "{{ x|map('at' ~ 'tr')|list }}",
    "a path of a sort": "{{ x|groupby('a.__class__') }}",
    "a computed subscript": "{{ ''['__cl' ~ 'ass__'] }}",
    "a subscript set before": "{% set k = '__cl' ~ 'ass__' %}{{ ''[k] }}",
    "a subscript that stands in the template": "{% set k = '__class__' %}{{ ''[k] }}",
    "a subscript of a choice": "{{ cycler['__init__' if true else 'a'] }}",
    "a subscript within a list": "{{ cycler[['__init__'][0]] }}",
    "a subscript given to a macro": "{% macro f(k) %}{{ ''[k] }}{% endmacro %}{{ f('__init__') }}",
    "a subscript cut out": "{{ ''['x__class__x'[1:-1]] }}",
    "a subscript turned around": "{{ cycler['__slabolg__'[::-1]] }}",
    "every other letter of a subscript": "{{ ''['_ _ c l a s s _ _'[::2]] }}",
    "a subscript that is an argument's name": "{% for k in dict(__init__=1) %}{{ cycler[k] }}{% endfor %}",
    "a subscript that is a macro's name": "{% macro __init__() %}{% endmacro %}{{ cycler[x.name] }}",
    "a subscript that is a token": "{{ cycler[bos_token] }}",
    "a frame by a subscript": "{% set k = 'gi_frame' %}{{ (x|map('upper'))[k] }}",
    "a file deleted": "{% set i, g = '__init__', '__globals__' %}{{ cycler[i][g]['os'].remove('x') }}",
    "a gigabyte of spaces": "{{ 'a'|center(9999999999) }}",
    "a subscript from a block": "{% set k %}__class__{% endset %}{{ ''[k] }}",
    "a subscript from a list": "{% for k in ['__cl' ~ 'ass__'] %}{{ ''[k] }}{% endfor %}",
    "a subscript from a call": "{% macro f(k) %}{{ ''[k] }}{% endmacro %}{{ f('__cl' ~ 'ass__') }}",
    "a subscript from a namespace": "{% set ns.k = '__' ~ x %}{{ ''[ns.k] }}",
    "a function of jinja's": "{{ cycler.__init__.__globals__.os.popen('id').read() }}",
    "the template itself": "{{ self._TemplateReference__context }}",
    "format": "{{ '{0.__class__}'.format(x) }}",
    "import": "{% import 'x' as y %}",
    "include": "{% include '/etc/passwd' %}",
    "extends": "{% extends 'x' %}",
    "an unknown function": "{{ popen('id') }}",
    "an unknown method": "{{ x.system('id') }}",
    "an unknown filter": "{{ x|shell }}",
    "a gigabyte": "{{ 'a' * 1000000000 }}",
    "a power": "{{ range(10 ** 10) }}",
    "a long count": "{% for i in range(1000000000) %}x{% endfor %}",
    "arguments from a list": "{{ dict(*x) }}",
    "brackets": "{{ " + "(" * 10_000 + "1",
    "depth": "{{ " + "not " * 100_000 + "x }}",
    "no template": "{{ unclosed",
    "two arguments of one name": "{% macro a(a=1,a=2) %}{% endmacro %}",
    "a number of 5,000 digits": "{{ " + "9" * 5000 + " }}",
    "length": "x" * (1 << 20),
}


@pytest.mark.parametrize("template", HONEST)
def test_a_template_that_puts_text_together_passes(template: str) -> None:
    assert refusal(template) is None


@pytest.mark.parametrize("what", HOSTILE)
def test_a_template_that_reaches_further_is_refused(what: str) -> None:
    assert refusal(HOSTILE[what])


COSTLY = {
    "counts that multiply": "{% for a in range(9999) %}{% for b in range(9999) %}{% endfor %}{% endfor %}",
    "counts by a name": "{% set n = 99999 %}{% for a in range(n) %}{% for b in range(n) %}{% endfor %}{% endfor %}",
    "a product as a count": "{% set n = 99 %}{% for a in range(n * n * n) %}{{ a }}{% endfor %}",
    "counts in a macro": (
        "{% macro f() %}{% for b in range(9999) %}x{% endfor %}{% endmacro %}"
        "{% for a in range(9999) %}{{ f() }}{% endfor %}"
    ),
    "macros that call twice": "".join(
        f"{{% macro f{n}() %}}{{{{ f{n + 1}() }}}}{{{{ f{n + 1}() }}}}{{% endmacro %}}"
        for n in range(40)
    )
    + "{% macro f40() %}x{% endmacro %}{{ f0() }}",
    "calls within calls": "{% macro d(x) %}{{ x }}{{ x }}{% endmacro %}{{ "
    + "d(" * 30
    + "'a'"
    + ")" * 30
    + " }}",
    "a text that doubles": (
        "{% set ns = namespace(s='a') %}{% for i in range(60) %}{% set ns.s = ns.s ~ ns.s %}{% endfor %}"
    ),
    "by way of another": (
        "{% set ns = namespace(s='a') %}{% for i in range(60) %}{% set t = ns.s %}"
        "{% set ns.s = t + t %}{% endfor %}"
    ),
    "by a replacement": (
        "{% set ns = namespace(s='a') %}{% for i in range(60) %}"
        "{% set ns.s = ns.s|replace('a', 'aa') %}{% endfor %}"
    ),
    "a list that holds itself": "{% set l = [1] %}{% for i in range(60) %}{{ l.extend(l) }}{% endfor %}",
    "without a loop": "{% set s = 'a' %}" + "{% set s = s ~ s %}" * 60,
    "a chain": "{% set s0 = 'a' %}"
    + "".join(f"{{% set s{n + 1} = s{n} ~ s{n} %}}" for n in range(60)),
    "a recursion that counts": (
        "{% macro f(n) %}{% if n %}{{ f(n - 1) }}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(60) }}"
    ),
    "a width in a loop": "{% for i in range(9999) %}{{ 'a'|center(99999) }}{% endfor %}",
}


@pytest.mark.parametrize("what", COSTLY)
def test_a_template_that_runs_or_grows_without_bound_is_refused(what: str) -> None:
    assert refusal(COSTLY[what]) is not None


UNREADABLE = [
    "{{ " + "9" * 5000 + " }}",
    "{{ 0x" + "f" * 6000 + " }}",
    "{{ '\\N{BELL}' }}",
    "{{ '\\ud800' }}{{ '__cl\\ud800' }}",
    "{% macro a(a=1,a=2) %}{% endmacro %}",
    "{{ 1e99999 * 2 }}",
    "{{ x|map(attribute=5) }}",
    "{{ x|groupby(1.5) }}",
    "{{ x|map(attribute=['__class__']) }}",
    "{{ x|selectattr(['a'],[1]) }}",
    "{{ x|selectattr('a',['b']) }}",
]


@pytest.mark.parametrize("template", UNREADABLE)
def test_odd_literals_are_judged_and_never_raise(template: str) -> None:
    assert isinstance(refusal(template), str | None)


@pytest.mark.timeout(20)
def test_a_chain_of_assignments_takes_a_time_that_grows_with_it() -> None:
    steps = "".join(f"{{%set a{n + 1}=a{n}%}}" for n in range(16_000))
    assert refusal("{%set a0='x'~'y'%}" + steps + "{{ ''[a16000] }}") is not None


@pytest.mark.parametrize(
    "template",
    [
        "{% set a = '__cla' %}{{ ''[a ~ 'ss__'] }}",
        "{{ messages[0]['_' ~ '_init_' ~ '_'] }}",
        "{% set n = ['__', 'globals', '__'] | join %}{{ x[n] }}",
        "{{ x['\\x5f' * 2 ~ 'class' ~ '\\x5f' * 2] }}",
    ],
)
def test_a_name_of_pythons_that_a_template_puts_together_reaches_for_more(
    template: str, tmp_path: Path
) -> None:
    place = tmp_path / "chat_template.jinja"
    place.write_text(template)
    assert list(chat_templates.reaches([File(place.name, str(place), len(template))]))
    for harmless in ("{{ x[key ~ 'y'] }}", "{{ messages[loop.index0 - 1]['role'] + '_' }}"):
        place.write_text(harmless)
        assert not list(chat_templates.reaches([File(place.name, str(place), len(harmless))]))


def test_what_stands_far_into_an_expression_or_a_file_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "chat_template.jinja"
    for length in (9_990, 10_000, 50_000):
        template = "{{ '" + "x" * length + "' ~ ''.__class__ }}"
        place.write_text(template)
        assert list(chat_templates.reaches([File(place.name, str(place), len(template))]))
    monkeypatch.setattr(chat_templates, "MAX_BYTES", 1000)
    assert list(chat_templates.reaches([File(place.name, str(place), len(template))]))
