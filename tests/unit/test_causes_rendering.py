"""What a reader sees of a recognised cause."""

from __future__ import annotations

from deadlock_matrix.diagnosis.recognition.cause_file import parse_cause
from deadlock_matrix.diagnosis.recognition.causes import Cause
from deadlock_matrix.diagnosis.recognition.recognise import Recognition, Sighting
from deadlock_matrix.render.causes import cause_lines, remedy_lines, short_cause_lines


def cause() -> Cause:
    return parse_cause(
        "some-cause",
        {
            "title": "It hangs",
            "explanation": "\nBecause of A.\nAnd of B.\n",
            "references": ["a/b#1", "a/b#2"],
            "all": [{"sign": "output", "what": "w", "pattern": "x"}],
            "remedy": [
                {"advice": "Try this.", "confirmed": "derived", "layout": "lazy"},
                {
                    "advice": "Set it.",
                    "confirmed": "here",
                    "set": {"A": "1"},
                    "unset": ["B"],
                    "versions": {"c": "<2"},
                },
                {"advice": "Pray.", "confirmed": "reported", "references": ["a/b#3"],
                 "helps": False},
                {"advice": "Paste.", "confirmed": "reported", "code": "\nif x:\n    y()\n"},
            ],
        },
    )  # fmt: skip


def recognition(*unknown: Sighting) -> Recognition:
    return Recognition(
        cause=cause(),
        certainty="possible" if unknown else "recognised",
        seen=(Sighting(what="it says x", detail="stderr, line 1\x1b[2J"),),
        unknown=unknown,
    )


def test_all_of_it() -> None:
    assert list(cause_lines([recognition()])) == [
        "known cause: It hangs (some-cause)",
        "  Because of A.",
        "  And of B.",
        "  seen: it says x (stderr, line 1\\x1b[2J)",
        "  remedy (confirmed by this project): Set it.",
        "      A=1",
        "      unset B",
        "      c<2",
        "  remedy (reported): Paste.",
        "      | if x:",
        "      |     y()",
        "  remedy (derived, not tried): Try this.",
        "      layout lazy",
        "  does not help (reported: a/b#3): Pray.",
        "  see a/b#1 and a/b#2",
    ]


def test_what_is_only_possible() -> None:
    lines = list(cause_lines([recognition(Sighting(what="the platform", detail="not read"))]))
    assert lines[0] == "possible cause: It hangs (some-cause)"
    assert "  could not be checked: the platform (not read)" in lines


def test_a_paragraph_each() -> None:
    lines = list(cause_lines([recognition(), recognition()]))
    assert lines.count("") == 1 and lines.count("known cause: It hangs (some-cause)") == 2
    assert list(cause_lines([])) == []


def test_short() -> None:
    assert list(short_cause_lines([recognition()])) == [
        "known cause: It hangs (some-cause)",
        "  remedy (confirmed by this project): Set it. A=1, unset B, c<2",
    ]


def test_surest_remedy_first() -> None:
    words = [line.split(")")[0].strip() for line in remedy_lines(cause()) if "):" in line]
    assert words == [
        "remedy (confirmed by this project",
        "remedy (reported",
        "remedy (derived, not tried",
        "does not help (reported: a/b#3",
    ]
