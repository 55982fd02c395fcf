"""Look for threads by what they wait for and what is on their stacks."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from deadlock_matrix.diagnosis.recognition.match import (
    ABSENT,
    Absent,
    Bindings,
    Look,
    Seen,
    Unlooked,
    best,
    both,
    every,
)
from deadlock_matrix.diagnosis.recognition.signs import (
    Frame,
    NativeFramePattern,
    ThreadPattern,
    ThreadsSign,
)
from deadlock_matrix.diagnosis.recognition.traces import ThreadTraces, Traces
from deadlock_matrix.diagnosis.recognition.waiting import descriptor, waiting
from deadlock_matrix.diagnosis.text import base_name
from deadlock_matrix.model.fact import Known, Unknown
from deadlock_matrix.model.frames import PythonFrame
from deadlock_matrix.model.stack_facts import NativeFrame

Group = Sequence[ThreadTraces]


def look_for_threads(sign: ThreadsSign, traces: Traces) -> Look:
    """Find different threads that match the patterns, with equal texts for equal groups."""
    if isinstance(traces.threads, Unknown):
        return Unlooked(why=traces.threads.reason)
    groups: Sequence[Group] = traces.threads.value
    if sign.within == "tree":
        groups = [[thread for group in groups for thread in group]]
    alone = {group[0].pid for group in traces.threads.value if len(group) == 1}
    found = best(_look_in(group, sign.thread, alone) for group in groups)
    if not isinstance(found, Seen):
        return found
    # An address means nothing to a reader; the name of a module does.
    told = [f"{name} {text}" for name, text in found.bound.items() if not text.startswith("0x")]
    return Seen(where=found.where + (f" ({', '.join(told)})" if told else ""), bound=found.bound)


def _look_in(group: Group, wanted: Sequence[ThreadPattern], alone: set[int]) -> Look:
    """Find a thread for each pattern, no thread twice."""
    candidates = []
    for pattern in wanted:
        fitting = [each for each in group if next(_fits(pattern, each, alone, {}), None)]
        if not fitting:
            return ABSENT
        candidates.append((pattern, fitting))
    return _assign(candidates, (), alone, {})


def _assign(
    candidates: Sequence[tuple[ThreadPattern, Group]],
    taken: Group,
    alone: set[int],
    bound: Bindings,
) -> Look:
    if not candidates:
        return Seen(where="", bound=bound)
    (pattern, fitting), *rest = candidates
    found: Look = ABSENT
    for thread in fitting:
        if any(thread is other for other in taken):
            continue
        for look in _fits(pattern, thread, alone, bound):
            if isinstance(look, Unlooked) and isinstance(found, Unlooked):
                continue  # it would leave us as unsure as we are
            more = look.bound if isinstance(look, Seen) else bound
            whole = both(look, _assign(rest, (*taken, thread), alone, more))
            if isinstance(whole, Seen):
                return whole
            if isinstance(found, Absent):
                found = whole
    return found


def _fits(
    wanted: ThreadPattern, thread: ThreadTraces, alone: set[int], bound: Bindings
) -> Iterator[Look]:
    """Yield every way in which a thread matches a pattern; empty if it surely does not."""
    plain = _plain(wanted, thread, alone)
    if plain == ABSENT:
        return
    for frames in _python(wanted, thread, bound):
        look = both(plain, frames)
        if look == ABSENT:
            continue
        if isinstance(look, Seen) and isinstance(plain, Seen) and isinstance(frames, Seen):
            place = f" in {frames.where}" if frames.where else ""
            more = f", {plain.where}" if plain.where else ""
            look = Seen(where=f"thread {thread.facts.tid}{place}{more}", bound=look.bound)
        yield look


def _plain(wanted: ThreadPattern, thread: ThreadTraces, alone: set[int]) -> Look:
    """Match everything but the Python frames."""
    if wanted.alone and thread.pid not in alone:
        return ABSENT
    return every(_plain_looks(wanted, thread))


def _plain_looks(wanted: ThreadPattern, thread: ThreadTraces) -> Iterator[Look]:
    if wanted.waits:
        yield _among(wanted.waits, waiting(thread))
    if wanted.descriptors:
        yield _among(wanted.descriptors, descriptor(thread))
    code, word = thread.facts.code, thread.facts.word
    if wanted.blocked_in:
        library = code.value.library if isinstance(code, Known) else code
        yield _named(wanted.blocked_in, library, "inside ")
    if wanted.word_in:
        mapping = word.value.mapping.path if isinstance(word, Known) else word
        yield _named(wanted.word_in, mapping, "")
    if wanted.word:
        yield _word(wanted.word, thread)
    if wanted.lock:
        yield _said(wanted.lock, thread.lock, "at ")
    if wanted.does:
        yield _said(wanted.does, thread.does, "")
    if wanted.holds_gil:
        yield _among((True,), thread.holds_gil)
    if wanted.forked:
        yield _among((True,), thread.forked)
    if wanted.native:
        yield _native(wanted.native, thread.native)


def _among(allowed: Sequence[object], fact: Known[Any] | Unknown) -> Look:
    if isinstance(fact, Unknown):
        return Unlooked(why=fact.reason)
    return Seen(where="") if fact.value in allowed else ABSENT


def _named(pattern: str, path: str | Unknown, word: str) -> Look:
    """Match a file's name; it is shown after the word, if there is one."""
    if isinstance(path, Unknown):
        return Unlooked(why=path.reason)
    name = base_name(path)
    if not re.match(pattern, name):
        return ABSENT
    return Seen(where=word + name if word and not name.startswith("libc.") else "")


def _word(pattern: str, thread: ThreadTraces) -> Look:
    if isinstance(thread.facts.word, Unknown):
        return Unlooked(why=thread.facts.word.reason)
    word = thread.facts.word.value
    begin = (word.address - word.around_start) * 2
    return Seen(where="") if re.match(pattern, word.around[begin:]) else ABSENT


def _said(pattern: str, words: Known[str] | Unknown, word: str) -> Look:
    if isinstance(words, Unknown):
        return Unlooked(why=words.reason)
    if not re.search(pattern, words.value):
        return ABSENT
    return Seen(where=word + words.value if word else "")


def _native(
    wanted: Sequence[NativeFramePattern], stack: Known[tuple[NativeFrame, ...]] | Unknown
) -> Look:
    """Match native frames in this order, others in between; each is the outermost that fits."""
    if isinstance(stack, Unknown):
        return Unlooked(why=stack.reason)
    frames = iter(stack.value)
    where = ""
    for pattern in wanted:
        for frame in frames:
            name = base_name(frame.library)
            if re.search(pattern.symbol, frame.symbol) and re.match(pattern.library, name):
                where = f"below {frame.symbol} ({name})"
                break
        else:
            return ABSENT
    return Seen(where=where)


# --- Python frames ------------------------------------------------------------------------------


def _python(wanted: ThreadPattern, thread: ThreadTraces, bound: Bindings) -> Iterator[Look]:
    """Yield every way in which the Python frames of a thread match."""
    if not wanted.frames:
        yield Seen(where="", bound=bound)
        return
    if isinstance(thread.python, Unknown):
        yield Unlooked(why=thread.python.reason)
        return
    yield from _frames(wanted.frames, thread.python.value, bound, wanted.innermost)


def _frames(
    wanted: Sequence[Frame], stack: Sequence[PythonFrame], bound: Bindings, innermost: bool
) -> Iterator[Look]:
    last_only = innermost and len(wanted) == 1
    for at in range(len(stack) - 1, len(stack) - 2 if last_only and stack else -1, -1):
        frame = stack[at]
        more = _frame(wanted[0], frame, bound)
        if more is None:
            continue
        if len(wanted) > 1:
            yield from _frames(wanted[1:], stack[at + 1 :], more, innermost)
        else:
            where = f"{frame.function} ({base_name(frame.file)}:{frame.line})"
            yield Seen(where=where, bound=more)


def _frame(wanted: Frame, frame: PythonFrame, bound: Bindings) -> Bindings | None:
    """Return what the groups match in one frame, or None if it does not match."""
    more = bound
    for match in _matches(wanted, frame):
        merged = merge(more, match.groupdict()) if match is not None else None
        if merged is None:
            return None
        more = merged
    return more


def _matches(wanted: Frame, frame: PythonFrame) -> Iterator[re.Match[str] | None]:
    yield re.fullmatch(wanted.function, frame.function)
    yield re.search(wanted.file, frame.file.replace("\\", "/"))
    for name, pattern in wanted.values.items():
        yield re.search(pattern, frame.values.get(name, ""))


def merge(bound: Bindings, found: Mapping[str, str | None]) -> Bindings | None:
    """Return both together, or None if a group has matched two different texts."""
    told = {name: text for name, text in found.items() if text is not None}
    if any(bound.get(name, text) != text for name, text in told.items()):
        return None
    return bound | told
