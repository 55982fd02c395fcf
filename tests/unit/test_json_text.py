"""JSON as it is written: harmless in a terminal, and the same when it is read back."""

from __future__ import annotations

import json
import unicodedata

import msgspec
import pytest

from deadlock_matrix.report.json_text import encode

OBEYED = [
    chr(number)
    for number in range(0x110000)
    if unicodedata.category(chr(number)) in ("Cc", "Cf", "Zl", "Zp")
]


def test_what_a_terminal_obeys_is_spelled() -> None:
    text = "".join(OBEYED)
    for indent in (0, 1):
        data = encode({"names": [text]}, indent=indent)
        written = data.decode()
        left = [each for each in OBEYED if each in written and not (each == "\n" and indent)]
        assert not left
        assert msgspec.json.decode(data) == {"names": [text]} == json.loads(data)


@pytest.mark.parametrize("text", ["plain", "naïve café", "日本語 🎉", '"\\', "tab\tline\n"])
def test_everything_else_is_left_as_it_is(text: str) -> None:
    assert encode(text) == msgspec.json.encode(text)
