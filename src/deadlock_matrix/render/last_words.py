"""What a process that ended by itself said last: the best explanation of an error or a crash."""

from __future__ import annotations

from collections.abc import Iterator

from deadlock_matrix.diagnosis.text import last_lines, one_line
from deadlock_matrix.model.observation import CellResult, Observation
from deadlock_matrix.model.verdict import Verdict

_LINES = 6  # of each stream
_WIDEST = 300  # characters of a line


def last_words(result: CellResult) -> Iterator[str]:
    """Yield, for an `error` or a `crash`, the exception and the last lines of each stream.

    A traceback that the probe has printed on standard error is not repeated. Libraries written in C
    print their reasons on either stream, so both are shown, each under its name.
    """
    seen = result.seen
    if seen is not None and result.verdict in (Verdict.ERROR, Verdict.CRASH):
        yield from said(seen)


def said(seen: Observation) -> Iterator[str]:
    """Yield the same for any process."""
    if seen.raised is not None:
        yield f"raised: {one_line(seen.raised.type)}: {_clipped(one_line(seen.raised.message))}"
        yield from _inset(seen.raised.traceback)
    errors = seen.stderr.kept
    if seen.raised is not None and seen.raised.traceback.strip():
        errors = errors.removesuffix(seen.raised.traceback)
    for name, text in (("stderr", errors), ("stdout", seen.stdout.kept)):
        if text.strip():
            yield f"{name}, last lines:"
            yield from _inset(text)


def _inset(text: str) -> Iterator[str]:
    yield from (f"  {_clipped(line)}" for line in last_lines(text, _LINES))


def _clipped(line: str) -> str:
    return line if len(line) <= _WIDEST else f"{line[: _WIDEST - 3]}..."
