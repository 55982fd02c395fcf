"""Stacks of a hung process, cut to what a reader needs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from deadlock_matrix.diagnosis import imports
from deadlock_matrix.diagnosis.frames import is_probes
from deadlock_matrix.diagnosis.imports import imported_module, is_importlib
from deadlock_matrix.diagnosis.text import count, one_line
from deadlock_matrix.model.fact import Known
from deadlock_matrix.model.frames import PythonFrame
from deadlock_matrix.model.observation import CellResult
from deadlock_matrix.model.stack_facts import ProcessStacks, ThreadStack

_FRAMES = 8


def processes(result: CellResult) -> tuple[ProcessStacks, ...]:
    """Return the stacks of each process of a cell: its Python frames, or else its native ones."""
    evidence = result.evidence
    if evidence is None:
        return ()
    read: dict[int, ProcessStacks] = {}
    for facts in (*evidence.stacks, *evidence.native_stacks):
        if isinstance(facts.stacks, Known):
            read.setdefault(facts.pid, facts.stacks.value)
    return tuple(read.values())


def innermost_import(result: CellResult) -> str | None:
    """Return the import that a hung cell is in, from the thread that is deepest in imports.

    ``package._part, imported by package/__init__.py:42``; ``None`` if no stack shows an import.
    """
    best: tuple[int, str] | None = None
    for stacks in processes(result):
        for thread in stacks.threads:
            depth, text = _deepest_import(thread.python)
            if depth and (best is None or depth > best[0]):
                best = (depth, text)
    return best[1] if best else None


def short_stacks(result: CellResult, frames: int = _FRAMES) -> Iterator[str]:
    """Yield lines that show each thread's last Python frames, innermost last; equal stacks once."""
    for stacks in processes(result):
        yield f"process {stacks.pid} ({stacks.tool})"
        groups: dict[tuple[str, ...], list[ThreadStack]] = {}
        for thread in stacks.threads:
            groups.setdefault(tuple(_thread_lines(thread, frames)), []).append(thread)
        for lines, threads in groups.items():
            yield f"  {_title(threads)}"
            yield from (f"    {line}" for line in lines)


def import_chain(frames: Sequence[PythonFrame]) -> tuple[str, ...]:
    """Return the modules that are being imported, fit to be shown."""
    return tuple(map(one_line, imports.import_chain(frames)))


def _deepest_import(frames: Sequence[PythonFrame]) -> tuple[int, str]:
    depth, wanted, importer, asks = 0, "", "", ""
    for frame in frames:
        if is_importlib(frame):
            if frame.function == "_find_and_load":
                depth += 1
                wanted = imported_module(frame)
                importer = asks
        elif not is_probes(frame):
            asks = f"{frame.file}:{frame.line}"
    if not depth:
        return 0, ""
    if wanted:
        return depth, one_line(f"{wanted}, imported by {importer}" if importer else wanted)
    return depth, one_line(f"an import in {importer}" if importer else "an import")


def _thread_lines(thread: ThreadStack, limit: int) -> Iterator[str]:
    frames = [frame for frame in thread.python if not is_importlib(frame) and not is_probes(frame)]
    if len(frames) > limit:
        yield f"... {count(len(frames) - limit, 'frame')} left out"
    for frame in frames[-limit:]:
        yield one_line(f"{frame.file}:{frame.line} in {frame.function}")
    if thread.native:
        inner = thread.native[-1]
        yield one_line(f"native: {inner.symbol} ({inner.library})")
    elif not frames:
        yield "no Python frame"


def _title(threads: Sequence[ThreadStack]) -> str:
    first = threads[0]
    if len(threads) > 1:
        return f"{count(len(threads), 'thread')} alike, first {first.tid}"
    gil = ", holds the GIL" if first.holds_gil.or_else(False) else ""
    name = f" {one_line(first.name)}" if first.name else ""
    return f"thread {first.tid}{name}{gil}"
