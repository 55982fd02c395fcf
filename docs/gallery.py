"""Pages of the site that are not written by hand: one for each scenario, and one that lists them.

MkDocs calls `on_files` (``hooks`` in mkdocs.yml). The pictures are drawn from the recorded
evidence in tests/golden, judged anew: what the site shows is what the code says today.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from scenarios.document import ScenarioKind
from scenarios.scenario import Scenario, load_scenarios

from deadlock_matrix.model.verdict import Judgement
from deadlock_matrix.proof.judge import judge
from deadlock_matrix.render.markup import code, escaped, fenced, table
from deadlock_matrix.render.mermaid import mermaid

if TYPE_CHECKING:
    from golden.recordings import Recording
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files

ROOT = Path(__file__).resolve().parents[1]
FOLDER = "gallery"
_VERSIONS = ("3.11", "3.13", "3.8")  # whose recording is shown, if there are several
_LANGUAGES = {".py": "python", ".c": "c", ".h": "c", ".cpp": "cpp", ".hpp": "cpp", ".toml": "toml"}
_TITLES = {ScenarioKind.DEADLOCK: "Deadlocks", ScenarioKind.LOOK_ALIKE: "Healthy look-alikes"}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages to those that lie in docs/."""
    from mkdocs.structure.files import File

    for name, text in pages().items():
        files.append(File.generated(config, f"{FOLDER}/{name}", content=text))
    return files


def pages() -> dict[str, str]:
    """Every page, by its file name."""
    scenarios = load_scenarios(ROOT / "repro" / "scenarios")
    written = {f"{each.name}.md": page(each, recording_of(each.name)) for each in scenarios}
    return {"index.md": overview(scenarios), **written}


def recording_of(name: str) -> Recording | None:
    """What was recorded of a scenario while it hung; ``None`` where it was never recorded."""
    from golden.recordings import path_of, read

    for version in _VERSIONS:
        if path_of(f"{version}/{name}").exists():
            return read(f"{version}/{name}")
    return None


def overview(scenarios: Sequence[Scenario]) -> str:
    """The list of all, deadlocks first."""
    lines = ["# Gallery", "", "Every scenario, with what it shows and how that is proved.", ""]
    for kind, title in _TITLES.items():
        chosen = [each for each in scenarios if each.kind is kind]
        rows = [
            [f"[{escaped(each.title)}]({each.name}.md)", *map(escaped, _expected(each))]
            for each in chosen
        ]
        lines += [f"## {title}", "", table(["scenario", "verdict", "proof"], rows), ""]
    return "\n".join(lines)


def page(scenario: Scenario, recording: Recording | None) -> str:
    """One scenario: what it does, what comes out and why, and its whole program."""
    return "\n".join([*_head(scenario), *_picture(recording), *_sources(scenario)])


def _head(scenario: Scenario) -> Iterator[str]:
    verdict, proof = _expected(scenario)
    yield f"# {escaped(scenario.title)}"
    yield ""
    # Its author wrote it as Markdown.
    yield scenario.explanation
    yield ""
    rows = [
        ["name", code(scenario.name)],
        ["runs", code(scenario.statement.strip().replace("\n", "; "))],
        ["verdict", f"**{verdict}**"],
        ["proof", proof],
        *([f"on Python {escaped(each.python)}", each.verdict.value] for each in scenario.variants),
    ]
    if scenario.python:
        rows.append(["Python", code(scenario.python)])
    if scenario.platforms:
        rows.append(["systems", escaped(", ".join(scenario.platforms))])
    if scenario.requires:
        rows.append(["needs", escaped(", ".join(scenario.requires))])
    yield table(["", ""], rows)
    yield ""


def _picture(recording: Recording | None) -> Iterator[str]:
    if recording is None:
        return
    judgement = judge(recording.evidence)
    where = f"Recorded on CPython {recording.python}, {recording.evidence.machine.system}."
    if judgement.outcome != "deadlock" or judgement.proof is None:
        yield from ("## Why nothing is proved", "", where, "", *_gaps(judgement), "")
        return
    yield from ("## Who waits for whom", "", where, "", escaped(judgement.proof.sentence), "")
    if source := mermaid(judgement.proof):
        yield from (fenced(source, "mermaid"), "")
    rows = [[escaped(each.name), escaped(each.detail)] for each in judgement.proof.conditions]
    if rows:
        yield from ("### What had to hold", "", table(["condition", "found"], rows), "")


def _gaps(judgement: Judgement) -> Iterator[str]:
    if not judgement.gaps:
        yield "It moved, or ended, while it was looked at."
    for gap in judgement.gaps:
        word = " is not known" if gap.kind == "unknown" else ""
        yield f"- {escaped(gap.subject)}: {escaped(gap.detail)}{word}"


def _sources(scenario: Scenario) -> Iterator[str]:
    yield "## The program"
    for name, path in scenario.files().items():
        text = path.read_text(encoding="utf-8")
        language = _LANGUAGES.get(path.suffix, "text")
        yield from (
            "",
            f"### {code(name)}",
            "",
            fenced(text, language) if text.strip() else "(empty)",
        )
    yield ""


def _expected(scenario: Scenario) -> tuple[str, str]:
    proof = scenario.expectation.proof
    return scenario.expectation.verdict.value, proof.value if proof is not None else "none"
