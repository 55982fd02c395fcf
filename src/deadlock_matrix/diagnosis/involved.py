"""Where a hung process waits: the libraries of its stuck threads, and the imports under way."""

from __future__ import annotations

from collections.abc import Iterator

from deadlock_matrix.diagnosis.imports import import_chain
from deadlock_matrix.diagnosis.text import base_name
from deadlock_matrix.model.evidence import Evidence
from deadlock_matrix.model.fact import Known
from deadlock_matrix.model.observation import CellResult
from deadlock_matrix.model.process_facts import Peer
from deadlock_matrix.model.thread_facts import ThreadFacts

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
_OUTERMOST = 6  # native frames: those further out show who called whom, not where it waits


def involved_libraries(result: CellResult) -> tuple[str, ...]:
    """Return the files in which stuck threads wait, innermost first, without libc and Python.

    For a hang without a proof, those of the main threads.
    """
    evidence = result.evidence
    if evidence is None:
        return ()
    stuck = {(each.pid, each.tid) for each in (result.judgement.threads if result.judgement else ())
             if each.stuck or each.likely}  # fmt: skip
    if not stuck:
        stuck = {(process.pid, process.pid) for process in evidence.after.processes}
    # A library's own idle threads wait too, for work that does not come: they explain nothing.
    return _files(evidence, stuck & _with_python(evidence) or stuck)


def _files(evidence: Evidence, stuck: set[tuple[int, int]]) -> tuple[str, ...]:
    paths = [*_waiting(evidence, stuck), *_calling(evidence, stuck)]
    return tuple(dict.fromkeys(path for path in paths if not _is_everywhere(path)))


def imports_under_way(result: CellResult) -> tuple[str, ...]:
    """Return the imports of the thread deepest in them, outermost first: ``part (m.py:3)``."""
    if result.evidence is None:
        return ()
    chains = [import_chain(thread.python) for thread in result.evidence.python().values()]
    return max(chains, key=len, default=())


def servers(evidence: Evidence | None) -> frozenset[str]:
    """Return the addresses of the other ends of the TCP connections on which threads sleep."""
    return frozenset(each.other for each in _tcp(evidence) if not each.other.endswith(":0"))


def listens_at(evidence: Evidence | None) -> frozenset[str]:
    """Return the addresses at which threads wait for somebody to connect."""
    return frozenset(each.own for each in _tcp(evidence) if each.other.endswith(":0"))


def _tcp(evidence: Evidence | None) -> Iterator[Peer]:
    for process in evidence.after.processes if evidence is not None else ():
        for peer in process.peers.or_else(()):
            if peer.protocol == "TCP":
                yield peer


def _with_python(evidence: Evidence) -> set[tuple[int, int]]:
    return {key for key, thread in evidence.python().items() if thread.python}


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
        for thread in facts.threads:
            if (facts.pid, thread.tid) in stuck:
                yield from (frame.library for frame in thread.native[: -_OUTERMOST - 1 : -1])


def _is_everywhere(path: str) -> bool:
    name = base_name(path)
    own = "/lib-dynload/" in path.replace("\\", "/")  # a compiled module of Python's own
    memory = path.startswith(("[", "/dev/shm/"))  # no library: a stack, or what processes share
    return not name or own or memory or name.startswith(_EVERYWHERE)
