"""A template that only puts text together is ordinary; one that makes a hidden name is not."""

from __future__ import annotations

import time

import pytest
from safe_load.worker.formats.template_text import MAX_TEMPLATE, reaches

HONEST = [
    (
        "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\\n' + message['content'] + "
        "'<|im_end|>' + '\\n'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
    ),
    (
        "{% if messages[0]['role'] == 'system' %}{% set loop_messages = messages[1:] %}{% set system_message "
        "= messages[0]['content'] %}{% else %}{% set loop_messages = messages %}{% endif %}"
        "{% for message in loop_messages %}{{ bos_token + '[INST] ' + message['content'] | trim + ' [/INST]' }}{% endfor %}"
    ),
    "{{ tool.name | replace('-', '_') }}{{ name.replace(' ', '_') }}{{ x.split('</think>')[-1] }}",
    (
        "{%- for tool in tools %}{{- tool | tojson }}{%- if tool_call.arguments is defined %}"
        "{{- tool_call['function']['arguments'] }}{% endif %}{% endfor %}"
    ),
    "{% set i = i + 1 %}{% set text = 'a' ~ b %}{{ messages[i] }}{{ messages[loop.index0 - 1]['content'] ~ text }}{{ x[key] }}",
    "{{ raise_exception('roles must alternate user/assistant') }} it's not code: __class__",
    "{# __class__ #}",
]
HOSTILE = [
    "{{ ''.__class__.__mro__ }}",
    "{% set a='_'~'_' %}{{ ''[a~'class'~a][a~'mro'~a] }}",
    "{% set a='_' * 2 %}{{ ''[a + 'class' + a] }}",
    "{{ ''|attr('x') }}",
    "{{ '' | attr(y) }}",
    "{{ ''['\\x5f\\x5fclass\\x5f\\x5f'] }}",
    "{{ ''['\\137class'] }}",
    "{{ ''['\\N{LOW LINE}'] }}",
    "{{ '%c%cclass' % (95, 95) }}",
    "{{ '{}class{}'.format(u, u) }}",
    "{{ '%s' | format(u) }}",
    "{% set u = 'a_b'[1] %}{{ ''[u~u~'class'~u~u] }}",
    "{% set u = ('a_b' | list)[1] %}",
    "{% set u = 'a_b' | batch(2) %}",
    "{{ '}}' }}{{ ['_', '_', 'class'] | join }}",
    "{{ '}}' ~ '_' }}",
    "{% set u = '-'|replace('-', '_') %}{{ ''[u ~ u ~ 'class' ~ u ~ u] }}",
    "{% set s = 'a_b' %}{% set u = s[1] %}{% set n = u ~ u ~ 'class' ~ u ~ u %}{% set x = '' %}{{ x[n] }}",
    "{% set u = bos_token[2] %}{%- set n = u*2 + 'class' + u*2 -%}{{ messages[n] }}",
    "{% for u in 'x_x' %}{{ ''[n] }}{% endfor %}",
]


@pytest.mark.parametrize("template", HONEST)
def test_a_template_that_puts_text_together_does_not_reach_further(template: str) -> None:
    assert not reaches(template.encode())


@pytest.mark.parametrize("template", HOSTILE)
def test_a_template_that_makes_a_hidden_name_reaches_further(template: str) -> None:
    assert reaches(template.encode())


def test_what_is_no_text_or_too_long_is_no_ordinary_template() -> None:
    assert reaches(b"\xff")
    assert reaches(b"a" * (MAX_TEMPLATE + 1))


@pytest.mark.parametrize("piece", ["{{ '", "{{", "{% \\", "'}}", "{{ ''['", "{{ x.replace("])
def test_the_time_grows_with_the_length_alone(piece: str) -> None:
    def seconds(count: int) -> float:
        text = (piece * count)[: MAX_TEMPLATE - 1].encode()
        return min(_timed(text) for _ in range(3))

    assert seconds(60_000) < 40 * seconds(6_000) + 0.1


def _timed(text: bytes) -> float:
    began = time.process_time()
    reaches(text)
    return time.process_time() - began
