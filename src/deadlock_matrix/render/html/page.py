"""A report as one HTML file that needs no network and no other file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from deadlock_matrix.diagnosis.grouping import SEVERITY, interpreter_of
from deadlock_matrix.diagnosis.rates import rate_lines
from deadlock_matrix.diagnosis.recognition.causes import Cause
from deadlock_matrix.diagnosis.study.study import Study, listings_of
from deadlock_matrix.diagnosis.text import count, one_line, seconds
from deadlock_matrix.model.observation import CellResult
from deadlock_matrix.model.report import Host, Report
from deadlock_matrix.render import answer
from deadlock_matrix.render.headline import headline
from deadlock_matrix.render.html.budget import EVIDENCE_BYTES, keep, left_out_note
from deadlock_matrix.render.html.cells import Details, row
from deadlock_matrix.render.html.choices import Choices
from deadlock_matrix.render.html.compared import Base, compared
from deadlock_matrix.render.html.document import Document, Row
from deadlock_matrix.render.html.embedding import policy, script_json
from deadlock_matrix.render.html.known import known_causes
from deadlock_matrix.render.html.pool import Pools
from deadlock_matrix.render.html.sections import (
    claim_answers,
    cure_rows,
    interpreter_views,
    study_tables,
    times_tables,
)

_TOGETHER = 500
"""Details in one part of the page; the browser reads a part when one of its cells is opened."""


class Assets(msgspec.Struct, frozen=True, kw_only=True):
    """The files that make a page, as text: see ``render/assets/README.md``."""

    template: str
    style: str
    script: str
    graphviz: str


def html(
    report: Report,
    assets: Assets,
    *,
    causes: Sequence[Cause] = (),
    studies: Sequence[Study] = (),
    base: Base | None = None,
    evidence_bytes: int = EVIDENCE_BYTES,
) -> str:
    """Return the page.

    Args:
        report: The report, with the evidence that may be shown.
        assets: Template, style and scripts.
        causes: Known causes, to be looked for in what hung or failed.
        studies: Studies whose tables and findings are shown, too.
        base: An earlier report to compare with.
        evidence_bytes: How much room the evidence may take; the worst cells come first. With 0, the
            page says what came out, without how that was seen.
    """
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    shown = document(report, causes, base, evidence_bytes, studies)
    graphs = any(detail.hung and detail.hung.nodes for detail in shown.details)
    scripts = [assets.graphviz, assets.script] if graphs else [assets.script]
    lines = tuple(map(one_line, headline(report)))
    template = Environment(autoescape=True, undefined=StrictUndefined).from_string(assets.template)
    return template.render(
        policy=policy(scripts, [assets.style], graphs=graphs),
        run=one_line(report.run),
        outcome=report.outcome.value,
        first=lines[0],
        rest=lines[1:],
        question=answer.TITLE,
        tables=shown.studies,
        listings=tuple(listings_of(report, studies)),
        answers=answer.told(report, studies),
        # These are ours, or hold nothing that HTML reads; everything else is escaped.
        style=Markup(assets.style),
        scripts=[Markup(script) for script in scripts],
        document=Markup(script_json(_without_details(shown))),
        details=[
            Markup(script_json(shown.details[begin : begin + _TOGETHER]))
            for begin in range(0, len(shown.details), _TOGETHER)
        ],
        together=_TOGETHER,
    )


def _without_details(shown: Document) -> dict[str, Any]:
    fields = {**msgspec.structs.asdict(shown), "rows": _columns(shown.rows)}
    del fields["details"]
    if shown.compared is not None:
        beside = msgspec.structs.asdict(shown.compared)
        fields["compared"] = {**beside, "rows": _columns(shown.compared.rows)}
    return fields


def _columns(rows: Sequence[Row]) -> dict[str, list[Any]]:
    return {name: [getattr(row, name) for row in rows] for name in Row.__struct_fields__}


def document(
    report: Report,
    causes: Sequence[Cause] = (),
    base: Base | None = None,
    evidence_bytes: int = EVIDENCE_BYTES,
    studies: Sequence[Study] = (),
) -> Document:
    """Return what the page shows; the arguments are those of `html`."""
    pools, choices = Pools(), Choices()
    cells = _shown(report) if base is None else report.cells
    results = (*cells, *report.controls)
    kept = keep(results, pools, evidence_bytes)
    of = Details(report, causes, pools, kept).of
    details, found = known_causes([of(each) for each in results], len(cells), causes)
    rows = tuple(row(each, choices, pools) for each in results)
    numbers = {each.cell.id: number for number, each in enumerate(results)}
    beside = compared(base, choices, pools) if base is not None else None
    notes = list(map(one_line, report.notes))
    if kept.left_out:
        notes.append(one_line(left_out_note(sorted(kept.left_out))))
    return Document(
        axes=choices.values,
        severity=tuple(verdict.value for verdict in SEVERITY),
        rows=rows,
        details=details,
        common=pools.common.values,
        facts=pools.facts.values,
        texts=pools.texts,
        lists=pools.lists.values,
        steps=pools.steps.values,
        frames=pools.frames.values,
        missing_controls=tuple(map(one_line, report.summary.controls_missing)),
        interpreters=tuple(interpreter_views(report, studies)),
        claims=tuple(claim_answers(report, studies, numbers)),
        causes=found,
        times=tuple(times_tables(report, studies)),
        cures=tuple(cure_rows(report.cells)),
        studies=tuple(study_tables(report, studies)),
        rates=tuple(map(one_line, rate_lines(report.cells))),
        unavailable=tuple(answer.unavailable(report)),
        run=tuple(_run(report)),
        notes=tuple(notes),
        compared=beside,
    )


def _shown(report: Report) -> tuple[CellResult, ...]:
    """Return the cells of the grid, without interpreters of which a line says why none ran."""
    missing = answer.never_ran(report)
    return tuple(each for each in report.cells if interpreter_of(each) not in missing)


def _run(report: Report) -> list[tuple[str, str]]:
    tool = report.tool
    hosts = [("host", _host(host)) for host in report.hosts]
    merged = [("merged from", ", ".join(part.run for part in report.merged))]
    return [
        ("run", one_line(report.run)),
        ("started", one_line(report.started)),
        ("took", seconds(report.duration_s)),
        *hosts,
        ("by", one_line(f"{tool.name} {tool.version}, Python {tool.python}")),
        ("arguments", one_line(" ".join(report.arguments))),
        *(merged if report.merged else []),
    ]


def _host(host: Host) -> str:
    where = f"{host.system} {host.release}, {host.machine}, {count(host.cores, 'core')}"
    return one_line(where)
