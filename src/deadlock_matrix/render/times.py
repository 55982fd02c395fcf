"""Where an import's time goes: a tree of modules, the lines, and what putting imports off saves."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Sequence

from deadlock_matrix.diagnosis.text import listed, one_line, seconds
from deadlock_matrix.model.diagnosis import Change, Diagnosis, ImportTime, Saving, Times
from deadlock_matrix.model.fact import Known
from deadlock_matrix.render.remedies import change_lines

LEAST_SHARE = 0.01
"""Share of the whole time; what took less is left out of the tree."""

MOST_DEEP = 12
WORTH_TELLING = 0.85
"""Share of the time before; two runs of the same differ by a few per cent."""


def times_lines(times: Times, width: int) -> Iterator[str]:
    """Yield the whole account, for a terminal."""
    if times.modules:
        yield ""
        yield "where the time goes, by module"
        yield f"  {'total':>8} {'own':>8}"
        least = max(times.seconds * LEAST_SHARE, times.coarse_s)
        yield from _tree(times.modules, least, times.coarse_s)
        if times.coarse_s:
            yield (
                f"  not shown: what takes less than {seconds(least)}, too little to be measured "
                "by samples"
            )
    if times.lines:
        yield ""
        yield "where the time goes, by line"
        for each in times.lines:
            if each.seconds < times.coarse_s:
                continue
            line = each.line
            yield f"  {seconds(each.seconds):>8}  {one_line(each.doing)}"
            text = f"  {one_line(line.text)}" if line.text else ""
            yield f"            {one_line(short(line.file))}:{line.line}{text}"
    if times.saving is not None:
        yield ""
        yield "what to import or run later"
        yield from (f"  {line}" for line in saving_lines(times.saving))


def saving_lines(saving: Saving) -> Iterator[str]:
    """Yield which imports to put off, where they are requested, and what that saves."""
    if saving.change is not None:
        yield from _line_lines(saving, saving.change)
        return
    names = listed([one_line(each.module) for each in saving.modules])
    after = saving.after_s
    if not isinstance(after, Known):
        yield f"importing {names} when first used was tried, and failed: {one_line(after.reason)}"
        return
    before, then = seconds(saving.before_s), seconds(after.value)
    if after.value > saving.before_s * WORTH_TELLING:
        yield (
            f"importing {names} only when first used saves nothing ({before} -> {then}, measured):"
        )
        yield "something uses it during the import"
    else:
        yield f"import {names} only when first used, not here: {before} -> {then}, measured"
    for each in saving.modules:
        line = each.importer
        if line is not None:
            text = f"  {one_line(line.text)}" if line.text else ""
            yield f"  {one_line(line.file)}:{line.line}{text}"


def _line_lines(saving: Saving, change: Change) -> Iterator[str]:
    after = saving.after_s
    what = one_line(change.why)
    if not isinstance(after, Known):
        yield f"{what}: was tried, and failed: {one_line(after.reason)}"
    else:
        yield f"{what}: {seconds(saving.before_s)} -> {seconds(after.value)}, measured"
    yield from (f"  {line}" for line in change_lines(change))


def short(file: str) -> str:
    """Return the path of an installed package's file as the package has it."""
    return re.split(r"[/\\](?:site|dist)-packages[/\\]", file)[-1]


def _tree(
    nodes: Sequence[ImportTime], least: float, coarse_s: float, depth: int = 0
) -> Iterator[str]:
    for node in nodes:
        if node.total_s < least or depth > MOST_DEEP:
            continue
        line = node.importer
        where = f"  ({one_line(short(line.file))}:{line.line})" if line is not None else ""
        own = seconds(node.own_s) if node.own_s >= max(coarse_s, 0.001) else ""
        yield (
            f"  {seconds(node.total_s):>8} {own:>8}  {'  ' * depth}{one_line(node.module)}{where}"
        )
        yield from _tree(node.children, least, coarse_s, depth + 1)


_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 70rem; padding: 0 1rem }
code { font: 13px ui-monospace, monospace } details { margin-left: 1.2rem }
summary, .leaf { padding: .1rem .3rem; background: linear-gradient(to right, #fbd38d88 var(--share),
transparent var(--share)) } .leaf { margin-left: 2.2rem } .where { opacity: .7 }
"""


def times_page(found: Diagnosis) -> str:
    """Return a separate page with the tree of imports, to unfold; everything in it is escaped."""
    times = found.times
    assert times is not None
    title = html.escape(f"Where the time of {found.target.name} goes")
    parts = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width">',
        f"<title>{title}</title><style>{_STYLE}</style></head><body><main>",
        f"<h1>{title}</h1>",
        f"<p>{html.escape(one_line(found.sentence))}</p>",
        "<h2>By module</h2>",
        *_details(times.modules, max(times.seconds, 1e-9)),
        "<h2>By line</h2><ul>",
        *(
            f"<li>{html.escape(seconds(each.seconds))} {html.escape(one_line(each.doing))} "
            f"<code>{html.escape(one_line(f'{each.line.file}:{each.line.line}'))} "
            f"{html.escape(one_line(each.line.text))}</code></li>"
            for each in times.lines
        ),
        "</ul>",
    ]
    if times.saving is not None:
        parts += ["<h2>What to import or run later</h2>", "<pre>"]
        parts += [html.escape(line) for line in saving_lines(times.saving)]
        parts += ["</pre>"]
    return "\n".join([*parts, "</main></body></html>", ""])


def _details(nodes: Sequence[ImportTime], whole: float) -> Iterator[str]:
    for node in nodes:
        line = node.importer
        where = one_line(f"{line.file}:{line.line} {line.text}") if line is not None else ""
        share = f'style="--share:{min(node.total_s / whole, 1.0):.0%}"'
        text = (
            f"{html.escape(seconds(node.total_s))} ({html.escape(seconds(node.own_s))} of its own) "
            f"<b>{html.escape(one_line(node.module))}</b> "
            f'<code class="where">{html.escape(where)}</code>'
        )
        if node.children:
            yield f"<details open><summary {share}>{text}</summary>"
            yield from _details(node.children, whole)
            yield "</details>"
        else:
            yield f'<div class="leaf" {share}>{text}</div>'
