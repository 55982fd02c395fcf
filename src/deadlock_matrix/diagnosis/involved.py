"""Where a hung process waits: the libraries of its stuck threads, and the imports under way."""

from __future__ import annotations

from collections.abc import Iterator

from deadlock_matrix.diagnosis.endings import observation_of
from deadlock_matrix.diagnosis.imports import import_chain
from deadlock_matrix.diagnosis.words import base_name
from deadlock_matrix.model.evidence import Evidence, ThreadFacts
from deadlock_matrix.model.fact import Known
from deadlock_matrix.model.observation import CellResult

_EVERYWHERE = (
    "libc.",
    "libc-",
    "libpthread",
    "ld-linux",
    "ld-musl",
    "libpython",
    "python",
    "libffi",
    "_ctypes.",
)
_OUTERMOST = 6  # native frames: those further out tell who called whom, not where it waits


def involved_libraries(result: CellResult) -> tuple[str, ...]:
    """The files in which the stuck threads wait, innermost first, without libc and Python itself.

    Of a hang without a proof, those of the main threads.
    """
    seen = observation_of(result)
    if seen is None or not isinstance(seen.evidence, Known):
        return ()
    evidence = seen.evidence.value
    stuck = {(each.pid, each.tid) for each in (result.judgement.threads if result.judgement else ())
             if each.stuck or each.likely}  # fmt: skip
    if not stuck:
        stuck = {(process.pid, process.pid) for process in evidence.after.processes}
    paths = [*_waiting(evidence, stuck), *_calling(evidence, stuck)]
    return tuple(dict.fromkeys(path for path in paths if not _is_everywhere(path)))


def imports_under_way(result: CellResult) -> tuple[str, ...]:
    """The imports of the thread that is deepest in them, outermost first: ``torch (m.py:3)``."""
    seen = observation_of(result)
    if seen is None or not isinstance(seen.evidence, Known):
        return ()
    chains = [
        import_chain(thread.python)
        for facts in seen.evidence.value.stacks
        if isinstance(facts.stacks, Known)
        for thread in facts.stacks.value.threads
    ]
    return max(chains, key=len, default=())


def _waiting(evidence: Evidence, stuck: set[tuple[int, int]]) -> Iterator[str]:
    for process in evidence.after.processes:
        for thread in process.threads:
            if (process.pid, thread.tid) in stuck:
                yield from _places(thread)


def _places(thread: ThreadFacts) -> Iterator[str]:
    if isinstance(thread.word, Known):
        yield thread.word.value.mapping.path
    if isinstance(thread.code, Known):
        yield thread.code.value.library


def _calling(evidence: Evidence, stuck: set[tuple[int, int]]) -> Iterator[str]:
    for facts in evidence.native_stacks:
        if not isinstance(facts.stacks, Known):
            continue
        for thread in facts.stacks.value.threads:
            if (facts.pid, thread.tid) in stuck:
                yield from (frame.library for frame in thread.native[: -_OUTERMOST - 1 : -1])


def _is_everywhere(path: str) -> bool:
    name = base_name(path)
    return not name or path.startswith("[") or name.startswith(_EVERYWHERE)
