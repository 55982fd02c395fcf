"""Look for one sign in the traces."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from deadlock_matrix.diagnosis.imports import imported_module
from deadlock_matrix.diagnosis.recognition.match import (
    ABSENT,
    Bindings,
    Look,
    Seen,
    Unlooked,
    best,
    every,
)
from deadlock_matrix.diagnosis.recognition.signs import (
    AnySign,
    ContextSign,
    EndSign,
    EnvironmentSign,
    ImportsSign,
    LibrariesSign,
    OutputSign,
    PackagesSign,
    PlatformSign,
    ProofSign,
    RaisedSign,
    ReaderSign,
    SymbolsSign,
    ThreadsSign,
    VerdictSign,
)
from deadlock_matrix.diagnosis.recognition.surroundings import (
    look_for_environment,
    look_for_libraries,
    look_for_packages,
    look_for_platform,
    look_for_symbols,
)
from deadlock_matrix.diagnosis.recognition.threads import look_for_threads
from deadlock_matrix.diagnosis.recognition.traces import ThreadTraces, Traces
from deadlock_matrix.model.fact import Known, Unknown
from deadlock_matrix.model.observation import Exited, Signalled
from deadlock_matrix.model.verdict import Verdict

_LONGEST_QUOTE = 160


def look_for(sign: AnySign, traces: Traces) -> Look:
    """Return whether a sign is there, is not, or could not be looked for."""
    return _LOOKS[type(sign)](sign, traces)


def _output(sign: OutputSign, traces: Traces) -> Look:
    output = traces.stdout if sign.stream == "stdout" else traces.stderr
    if isinstance(output, Unknown):
        return Unlooked(why=f"{sign.stream}: {output.reason}")
    text = output.value.kept
    match = re.search(sign.pattern, text, re.MULTILINE)
    if match is None:
        cut = "bytes cut here ...]" in text
        return Unlooked(why=f"only a part of {sign.stream} was kept") if cut else ABSENT
    line = text.count("\n", 0, match.start()) + 1
    quote = " ".join(match[0].split())[:_LONGEST_QUOTE]
    bound = {name: found for name, found in match.groupdict().items() if found is not None}
    meaning = _meaning(sign, bound)
    return Seen(where=f"{sign.stream}, line {line}: {quote!r}{meaning}", bound=bound)


def _meaning(sign: OutputSign, bound: Bindings) -> str:
    told = []
    for name, meanings in sign.meanings.items():
        if name in bound:
            told.append(meanings.get(bound[name], f"{name} {bound[name]} is not known here"))
    return f" ({'; '.join(told)})" if told else ""


def _raised(sign: RaisedSign, traces: Traces) -> Look:
    if isinstance(traces.raised, Unknown):
        return Unlooked(why=traces.raised.reason)
    for raised in traces.raised.value:
        match = re.search(sign.message, raised.message)
        if re.fullmatch(sign.type, raised.type) and match:
            return Seen(where=f"the entry raised {raised.type}", bound=_texts(match))
    return ABSENT


def _texts(match: re.Match[str]) -> Bindings:
    return {name: text for name, text in match.groupdict().items() if text is not None}


def _end(sign: EndSign, traces: Traces) -> Look:
    if isinstance(traces.end, Unknown):
        return Unlooked(why=traces.end.reason)
    end = traces.end.value
    if isinstance(end, Exited) and end.status in sign.statuses:
        return Seen(where=f"it ended with status {end.status}")
    if isinstance(end, Signalled) and end.signal in sign.signals:
        return Seen(where=f"signal {end.signal} ended it")
    return ABSENT


def _verdict(sign: VerdictSign, traces: Traces) -> Look:
    if isinstance(traces.verdict, Unknown) and sign.verdicts == (Verdict.DEADLOCK,):
        # One look does not show a hang, but it may show that somebody can go on.
        judged = traces.judged
        gaps = judged.value.gaps if isinstance(judged, Known) else ()
        if any(gap.kind == "does-not-hold" for gap in gaps):
            return ABSENT
    return _one_of(sign.verdicts, traces.verdict)


def _context(sign: ContextSign, traces: Traces) -> Look:
    wanted = (sign.calling, traces.calling), (sign.stdin, traces.stdin)
    return every(_one_of(allowed, fact) for allowed, fact in wanted)


def _one_of(allowed: Sequence[object], fact: Known[Any] | Unknown) -> Look:
    if not allowed:
        return Seen(where="")
    if isinstance(fact, Unknown):
        return Unlooked(why=fact.reason)
    return Seen(where=f"{fact.source}: {fact.value}") if fact.value in allowed else ABSENT


def _imports(sign: ImportsSign, traces: Traces) -> Look:
    return best([_under_way(sign, traces), _finished(sign, traces)])


def _under_way(sign: ImportsSign, traces: Traces) -> Look:
    if isinstance(traces.threads, Unknown):
        return Unlooked(why=f"imports under way: {traces.threads.reason}")
    return best(_thread_imports(sign, each) for group in traces.threads.value for each in group)


def _thread_imports(sign: ImportsSign, thread: ThreadTraces) -> Look:
    if isinstance(thread.python, Unknown):
        return Unlooked(why=thread.python.reason)
    names = [name for frame in thread.python.value if (name := imported_module(frame))]
    found = _in_order(sign.chain, names)
    return Seen(where=f"thread {thread.facts.tid}: {' > '.join(found)}") if found else ABSENT


def _finished(sign: ImportsSign, traces: Traces) -> Look:
    if isinstance(traces.chains, Unknown):
        return ABSENT  # while an import is under way, no finished one counts
    for steps in traces.chains.value.values():
        found = _in_order(sign.chain, [step.module for step in steps])
        if found:
            return Seen(where=f"finished imports: {' > '.join(found)}")
    return ABSENT


def _in_order(patterns: Sequence[str], names: Iterable[str]) -> list[str]:
    """Return the names that match the patterns one after another, or an empty list."""
    rest, found = list(patterns), []
    for name in names:
        if rest and re.fullmatch(rest[0], name):
            found.append(name)
            del rest[0]
    return [] if rest else found


def _proof(sign: ProofSign, traces: Traces) -> Look:
    if isinstance(traces.judged, Unknown):
        return Unlooked(why=traces.judged.reason)
    proof = traces.judged.value.proof
    if proof is None:
        unknown = [gap for gap in traces.judged.value.gaps if gap.kind == "unknown"]
        if unknown:
            return Unlooked(why=f"no proof: {unknown[0].subject}: {unknown[0].detail}")
        return ABSENT
    kinds = {node.kind for node in proof.nodes}
    labels = [node.label for node in proof.nodes if re.search(sign.label, node.label)]
    sources = [edge.source for edge in proof.edges if re.search(sign.source, edge.source)]
    if not kinds.issuperset(sign.nodes) or not labels or not sources:
        return ABSENT
    where = sources[0] if sign.source else labels[0] if sign.label else ", ".join(sign.nodes)
    return Seen(where=f"the proof: {where}")


def _reader(sign: ReaderSign, traces: Traces) -> Look:
    return Unlooked(why="only somebody who knows the code can tell")


_LOOKS: dict[type, Callable[[Any, Traces], Look]] = {
    OutputSign: _output,
    RaisedSign: _raised,
    EndSign: _end,
    VerdictSign: _verdict,
    ContextSign: _context,
    PlatformSign: look_for_platform,
    PackagesSign: look_for_packages,
    EnvironmentSign: look_for_environment,
    LibrariesSign: look_for_libraries,
    SymbolsSign: look_for_symbols,
    ImportsSign: _imports,
    ProofSign: _proof,
    ThreadsSign: look_for_threads,
    ReaderSign: _reader,
}
