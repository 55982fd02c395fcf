"""A report in Markdown: worst first, small enough, and nothing in it acts."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from deadlock_matrix.causes import load_causes
from deadlock_matrix.model.comparison import GateResult
from deadlock_matrix.model.observation import CellResult
from deadlock_matrix.model.verdict import (
    Edge,
    Judgement,
    Node,
    Proof,
    ProofKind,
    Verdict,
    core_of,
)
from deadlock_matrix.render.markdown import SMALLEST_LIMIT, markdown
from deadlock_matrix.render.markup import clipped, code, escaped, fenced
from deadlock_matrix.render.mermaid import MOST_EDGES, label, mermaid
from deadlock_matrix.report.compare.comparison import compare
from deadlock_matrix.report.store import read_report
from deadlock_matrix.studies import load_studies
from tests.unit.test_report_samples import cell, control, result
from tests.unit.test_terminal import report

ROOT = Path(__file__).parents[2]
PARSER = MarkdownIt("commonmark").enable(["table", "strikethrough"])
COMMENT = "<!-- -->"
HOSTILE = (
    "x`y``z <script>alert(1)</script> | @octocat #12 GH-3 [l](http://e.vil) ![i](//e) *b* _i_ ~~s~~"
    " www.e.vil user@e.vil &lt; $a$ :tada: <!-- --> \\"
)


def tokens(text: str) -> Iterator[Token]:
    for token in PARSER.parse(text):
        yield token
        yield from token.children or ()


def proof(*names: str, kind: str = "thread") -> Proof:
    """Threads that wait for one another in a circle."""
    nodes = tuple(Node(id=name, kind="thread", label=f"thread {name}") for name in names)
    edges = tuple(
        Edge(tail=tail, head=head, relation="waits for", source="/proc")
        for tail, head in zip(names, [*names[1:], names[0]], strict=True)
    )
    return Proof(
        kind=ProofKind.OWNER,
        sentence="They wait.",
        roots=names[:1],
        nodes=nodes,
        edges=edges,
        conditions=(),
    )


def deadlocked(*names: str, **axes: str) -> CellResult:
    hung = result(cell(**axes), Verdict.DEADLOCK, why=f"{names} wait")
    judged = Judgement(outcome="deadlock", proof=proof(*names), gaps=())
    return msgspec.structs.replace(hung, judgement=judged)


# --- what is in it, and in which order ------------------------------------------------------------


def test_it_begins_with_whether_the_run_is_valid() -> None:
    assert markdown(report(result(cell()))).startswith("## ✅ deadlock-matrix: valid: all cells")
    wrong = result(control("positive"), Verdict.OK)
    text = markdown(report(result(cell()), controls=(wrong,)))
    assert text.startswith("## ⛔ deadlock-matrix: controls wrong: 1 of 1 control")
    assert text.index("Controls that are not right") < text.index("| profile |")


def test_the_worst_come_first() -> None:
    text = markdown(
        report(
            result(cell(layout="a"), Verdict.SLOW, why="is slow"),
            result(cell(layout="b"), Verdict.DEADLOCK, why="is stuck"),
            result(cell(layout="c"), Verdict.ERROR, why="is wrong"),
        )
    )
    found = [text.index(why) for why in ("is stuck", "is wrong", "is slow")]
    assert found == sorted(found)


def test_the_interpreter_with_the_most_problems_comes_first() -> None:
    text = markdown(
        report(result(cell(interpreter="good")), result(cell(interpreter="poor"), Verdict.HANG))
    )
    assert text.index("### poor") < text.index("### good")


def test_the_table_has_profiles_and_layouts() -> None:
    text = markdown(report(result(cell()), result(cell(layout="lazy"), Verdict.HANG)))
    assert "| profile | eager | lazy |" in text
    assert "| baseline | ok 1 | **hang 1 !** |" in text


def test_cells_of_which_the_same_is_told_share_it() -> None:
    hung = [result(cell(entry=f"e{n}"), Verdict.HANG, why="for ever") for n in range(14)]
    text = markdown(report(*hung))
    assert text.count("for ever") == 1
    assert "and 4 more" in text


def test_a_proof_has_its_graph_and_its_stacks() -> None:
    text = markdown(report(deadlocked("one", "two")))
    assert '```mermaid\nflowchart LR\n  n0(["thread one"])' in text
    assert '  n0 ==>|"waits for"| n1' in text
    assert "/opt/pack/worker.py:7 in run" in text


def test_the_example_report_tells_its_cause_and_its_claims() -> None:
    example = read_report(ROOT / "reports" / "example" / "report.json")
    text = markdown(example, causes=load_causes(), studies=load_studies())
    assert "libgomp-after-fork" in text
    assert "| remedy-factory-avoids-models | refuted |" in text


def test_a_comparison_comes_before_everything_else() -> None:
    before = report(result(cell()))
    after = report(result(cell(), Verdict.DEADLOCK))
    comparison = compare(before, after)
    gate = GateResult(
        passed=False, judged=date(2026, 1, 1), fail_on=(), failed=comparison.changes[:1]
    )
    text = markdown(after, comparison=comparison, gate=gate)
    assert "**gate: failed**" in text
    assert text.index("**fails: new-deadlock**") < text.index("| profile |")


# --- size -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("limit", [SMALLEST_LIMIT, 20_000, 100_000])
def test_it_is_cut_to_its_limit_and_says_so(limit: int) -> None:
    many = [deadlocked("a", f"b{n}", entry=f"e{n}", interpreter=f"i{n % 40}") for n in range(400)]
    text = markdown(report(*many), limit=limit)
    assert len(text.encode()) <= limit
    assert f"**Cut to {limit} bytes:** left out are " in text
    assert "problems" in text.split("\n\n")[2]


def test_it_is_not_cut_without_need() -> None:
    text = markdown(report(*[deadlocked("a", f"b{n}", entry=f"e{n}") for n in range(50)]))
    assert "Cut to" not in text
    assert "e49" in text


def test_a_limit_without_room_is_refused() -> None:
    with pytest.raises(ValueError, match="a summary needs 4000"):
        markdown(report(result(cell())), limit=100)


# --- text from outside ----------------------------------------------------------------------------


@given(st.text(st.characters(codec="utf-8")) | st.text("`*_[]()<>!|#@&:/w.-+=1a \\~$"))
def test_any_text_shows_as_it_is(text: str) -> None:
    shown = escaped(text)
    seen = ""
    for token in tokens(f"- {shown}" if shown else "- x"):
        assert token.type in {
            "bullet_list_open", "bullet_list_close", "list_item_open", "list_item_close",
            "paragraph_open", "paragraph_close", "inline", "text", "text_special", "html_inline",
        }, (token.type, shown)  # fmt: skip
        if token.type == "html_inline":
            assert token.content == COMMENT
        elif token.type in ("text", "text_special"):
            seen += token.content
    assert seen == (clipped(text) if shown else "x")


@given(st.text(st.characters(codec="utf-8")) | st.text("`a \n"))
def test_any_text_is_code_as_it_is(text: str) -> None:
    inline = [token for token in tokens(f"- a {code(text)}") if token.type == "code_inline"]
    assert [token.content.strip() for token in inline] == [clipped(text, 300).strip()]


@given(st.text("`~a\n"))
def test_no_text_leaves_its_block(text: str) -> None:
    assert [token.type for token in PARSER.parse(fenced(f"a{text}"))] == ["fence"]


@pytest.mark.parametrize(
    "linked", ["@octocat", "#12", "GH-3", "http://e.vil", "www.e.vil", "a@e.vil", ":tada:", "o/r#1"]
)
def test_github_finds_nothing_to_link(linked: str) -> None:
    parts = escaped(f"see {linked} there").split(COMMENT)
    assert len(parts) > 1
    found = re.compile(r"@\w|#\d|GH-\d|://|www\.|:\w+:")
    assert not any(found.search(part) for part in parts)


def test_a_hostile_probe_gets_nothing_through() -> None:
    axes = dict.fromkeys(("interpreter", "profile", "layout", "entry", "context"), HOSTILE)
    hung = deadlocked(HOSTILE, "b", **axes)
    failed = result(cell(**axes), Verdict.ERROR, stderr=HOSTILE, why=HOSTILE)
    text = markdown(report(hung, failed, notes=(HOSTILE, "1. a", "- b", "# c")))
    allowed = re.compile(r"</?details>|<summary>[\w ]+</summary>|<!-- -->|<details><summary>.*")
    for token in tokens(text):
        assert token.type not in ("link_open", "image", "em_open", "s_open"), token
        if token.type in ("html_inline", "html_block"):
            assert "script" not in token.content
            assert all(allowed.fullmatch(line) for line in token.content.strip().splitlines())
        if token.type == "heading_open":
            assert token.tag in ("h2", "h3")


# --- the graph ------------------------------------------------------------------------------------


@given(st.text(st.characters()))
def test_a_label_holds_no_syntax(text: str) -> None:
    assert not re.search(r'["\[\]{}<>|`;&%\n]', re.sub(r"#\d+;", "", label(text)))
    assert label(text)


def test_a_label_shows_the_text() -> None:
    assert label('a "b" <c>') == "a #34;b#34; #60;c#62;"


def test_no_graph_has_too_many_edges() -> None:
    assert mermaid(proof(*map(str, range(MOST_EDGES))))
    assert mermaid(proof(*map(str, range(MOST_EDGES + 1)))) == ""


def test_every_kind_of_node_and_relation_is_drawn() -> None:
    for path in sorted((ROOT / "tests" / "golden" / "evidence" / "3.11").glob("*.json.gz"))[::9]:
        from golden.recordings import read

        from deadlock_matrix.proof.judge import judge

        judged = judge(read(f"3.11/{path.name.removesuffix('.json.gz')}").evidence)
        if judged.proof is not None and len(judged.proof.edges) <= MOST_EDGES:
            lines = mermaid(judged.proof).splitlines()
            proof = core_of(judged.proof)
            assert len(lines) == len(proof.nodes) + len(proof.edges) + 3
