"""Recorded evidence with one thing changed, and what of the evidence a proof rests on.

A `Mutation` names the fact that it touches: where (a process, a thread, the tree) and which. The
set `rests_on` is worked out from the proof alone, so that a test can hold the two together: what a
proof rests on must matter, and nothing else may.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from deadlock_matrix.model.evidence import Evidence
from deadlock_matrix.model.fact import Known, Unknown, known, unknown
from deadlock_matrix.model.process_facts import Descriptor, PipeHolder, ProcessFacts, Snapshot
from deadlock_matrix.model.stack_facts import ProcessStacks, StackFacts
from deadlock_matrix.model.thread_facts import OnCpu, SystemCall, ThreadFacts, TimeLimit
from deadlock_matrix.model.verdict import Condition, Proof

replace = msgspec.structs.replace

HIDDEN = unknown("hidden by the test")
SIGUSR1, SIGCANCEL = 10, 32
NO_SUCH_THREAD = 0x3FFF_FFF0

When = Literal["before", "after"]
Site = tuple[int, ...]
"""A process, a process and a thread, or nothing: the whole tree."""
Fact = tuple[Site, str]
"""Facts of a process end in ``-before`` where they are the first snapshot's."""


@dataclass(frozen=True, kw_only=True)
class Mutation:
    """One change of one fact."""

    site: Site
    fact: str
    text: str
    evidence: Evidence

    @property
    def id(self) -> str:
        """For a message."""
        return f"{self.text} of {'/'.join(map(str, self.site)) or 'the tree'}"


# --- changing one place -------------------------------------------------------------------------


def edit_process(
    evidence: Evidence, when: When, pid: int, change: Callable[[ProcessFacts], ProcessFacts | None]
) -> Evidence:
    """With one process changed, or without it."""
    snapshot: Snapshot = getattr(evidence, when)
    changed = [change(process) if process.pid == pid else process for process in snapshot.processes]
    processes = tuple(process for process in changed if process is not None)
    return replace(evidence, **{when: replace(snapshot, processes=processes)})


def edit_thread(
    evidence: Evidence,
    when: When,
    key: tuple[int, int],
    change: Callable[[ThreadFacts], ThreadFacts | None],
) -> Evidence:
    """With one thread changed, or without it."""

    def edit(process: ProcessFacts) -> ProcessFacts:
        changed = [change(t) if t.tid == key[1] else t for t in process.threads]
        return replace(process, threads=tuple(thread for thread in changed if thread is not None))

    return edit_process(evidence, when, key[0], edit)


def edit_stacks(
    evidence: Evidence, pid: int, change: Callable[[ProcessStacks], ProcessStacks]
) -> Evidence:
    """With the stacks of one process changed."""

    def edit(facts: StackFacts) -> StackFacts:
        if facts.pid != pid or not isinstance(facts.stacks, Known):
            return facts
        return replace(facts, stacks=replace(facts.stacks, value=change(facts.stacks.value)))

    return replace(evidence, stacks=tuple(map(edit, evidence.stacks)))


# --- all changes of one thread, one process, the tree -------------------------------------------


def all_mutations(evidence: Evidence) -> Iterator[Mutation]:
    """Every change that could matter, at every place."""
    for process in evidence.after.processes:
        yield from process_mutations(evidence, process)
        for thread in process.threads:
            if thread.state not in "ZX":
                yield from thread_mutations(evidence, process.pid, thread)
    yield from tree_mutations(evidence)


def thread_mutations(evidence: Evidence, pid: int, thread: ThreadFacts) -> Iterator[Mutation]:
    """Changes of one thread, in either snapshot."""
    key = (pid, thread.tid)

    def made(
        fact: str, text: str, when: When, change: Callable[[ThreadFacts], ThreadFacts | None]
    ) -> Mutation:
        changed = edit_thread(evidence, when, key, change)
        return Mutation(site=key, fact=fact, text=f"{text} ({when})", evidence=changed)

    for when in ("before", "after"):
        for name in ("switches", "activity"):
            yield made(
                name, f"{name} hidden", when, lambda t, name=name: replace(t, **{name: HIDDEN})
            )
        yield made("switches", "one switch more", when, _one_switch_more)
        yield made("activity", "another argument", when, _other_argument)
        yield made("presence", "started later", when, lambda t: replace(t, started=t.started + 1))
        yield made("presence", "missing", when, lambda _: None)
        suffix = "" if when == "after" else "-before"
        for text, channel in (
            ("wait channel hidden", HIDDEN),
            ("asleep elsewhere", known("handle_userfault", "test")),
        ):
            yield made(
                f"channel{suffix}",
                text,
                when,
                lambda t, channel=channel: replace(t, wait_channel=channel),
            )
    yield made("state-before", "state R", "before", lambda t: replace(t, state="R"))
    yield made("state", "state R", "after", lambda t: replace(t, state="R"))
    yield made(
        "state", "on a processor", "after", lambda t: replace(t, activity=known(OnCpu(), "test"))
    )
    for name in ("timeout", "word", "code", "polled"):
        if isinstance(getattr(thread, name), Known):
            yield made(
                name, f"{name} hidden", "after", lambda t, name=name: replace(t, **{name: HIDDEN})
            )
    if isinstance(thread.timeout, Known) and not isinstance(thread.timeout.value, TimeLimit):
        yield made("timeout", "a time limit", "after", _with_time_limit)
    if isinstance(thread.word, Known) and isinstance(thread.activity, Known):
        yield made("owner", "an owner that is gone", "after", _without_owner)
        if _is_public(thread):
            yield made("word", "in shared memory", "after", _in_shared_memory)
            yield made("word", "in a read-only file", "after", _in_read_only_file)
    if isinstance(thread.code, Known):
        wrapper = replace(thread.code, value=replace(thread.code.value, in_syscall_wrapper=True))
        yield made("code", "through syscall()", "after", lambda t: replace(t, code=wrapper))


def process_mutations(evidence: Evidence, process: ProcessFacts) -> Iterator[Mutation]:
    """Changes of one process, and of its stacks."""
    pid = process.pid
    for snapshot, when in ((evidence.before, "before"), (evidence.after, "after")):
        for earlier_or_now in snapshot.processes:
            if earlier_or_now.pid == pid:
                yield from _process_mutations(evidence, earlier_or_now, when)
    for text, listed in (
        ("one thread less", process.threads_after[1:]),
        ("one more", (*process.threads_after, NO_SUCH_THREAD)),
    ):
        changed = edit_process(
            evidence, "after", pid, lambda p, listed=listed: replace(p, threads_after=listed)
        )
        yield Mutation(site=(pid,), fact="threads_after", text=text, evidence=changed)
    for text, change in (
        ("missing before", lambda _: None),
        ("began later", lambda p: replace(p, started=p.started + 1)),
    ):
        changed = edit_process(evidence, "before", pid, change)
        fact = "presence-before" if text.startswith("missing") else "start"
        yield Mutation(site=(pid,), fact=fact, text=text, evidence=changed)
    yield from stack_mutations(evidence, pid)


def _process_mutations(evidence: Evidence, process: ProcessFacts, when: When) -> Iterator[Mutation]:
    """Changes of one process in one snapshot."""
    pid = process.pid
    suffix = "" if when == "after" else "-before"

    def made(fact: str, text: str, **changes: Any) -> Mutation:
        changed = edit_process(evidence, when, pid, lambda p: replace(p, **changes))
        return Mutation(site=(pid,), fact=fact + suffix, text=f"{text} ({when})", evidence=changed)

    for name in (
        "signals", "tracer", "descriptors", "own_descriptors", "descriptors_in_flight",
        "shares_memory_with", "special_mappings", "python", "timers", "libraries", "executable",
        "cancelling", "cancelling_at_once", "old_gil_calls", "alarms", "peers",
    ):  # fmt: skip
        if isinstance(getattr(process, name), Known):
            yield made(name, f"{name} hidden", **{name: HIDDEN})
    signals, descriptors, python = process.signals, process.descriptors, process.python
    if isinstance(signals, Known):
        for number, fact in ((SIGUSR1, "waking-signal"), (SIGCANCEL, "cancellation")):
            caught = signals.value.caught | 1 << (number - 1)
            catching = replace(signals, value=replace(signals.value, caught=caught))
            yield made(fact, f"signal {number} caught", signals=catching)
    if isinstance(descriptors, Known):
        ring = Descriptor(number=1023, target="anon_inode:[io_uring]", access="rw")
        with_ring = replace(descriptors, value=(*descriptors.value, ring))
        yield made("io-uring", "an io_uring", descriptors=with_ring)
    if isinstance(python, Known):
        handler = known("my_handler", "test")
        runtime = replace(python, value=replace(python.value, interrupt_handler=handler))
        yield made("interrupt", "its own SIGINT handler", python=runtime)
    some_thread = known((process.threads[-1].tid,), "test")
    yield made("own_descriptors", "a thread with its own descriptors", own_descriptors=some_thread)
    in_flight = known(1, "test")
    yield made("descriptors_in_flight", "one on its way", descriptors_in_flight=in_flight)
    yield made("timers", "a timer", timers=known(("ID: 0",), "test"))
    yield made("cancelling", "a library that cancels", cancelling=known(("/lib/x.so",), "test"))
    old = known(("/lib/x.so",), "test")
    yield made("old_gil_calls", "a library that takes the GIL for nobody", old_gil_calls=old)
    yield made("tracer", "a tracer", tracer=known(1, "test"))
    yield made("shares_memory_with", "a sharer", shares_memory_with=known((1,), "test"))


def stack_mutations(evidence: Evidence, pid: int) -> Iterator[Mutation]:
    """Changes of the stacks of one process."""
    if not any(facts.pid == pid and isinstance(facts.stacks, Known) for facts in evidence.stacks):
        return

    def made(fact: str, text: str, changed: Evidence) -> Mutation:
        return Mutation(site=(pid,), fact=fact, text=text, evidence=changed)

    hidden = [replace(f, stacks=HIDDEN) if f.pid == pid else f for f in evidence.stacks]
    yield made("stacks", "stacks hidden", replace(evidence, stacks=tuple(hidden)))
    others = tuple(f for f in evidence.stacks if f.pid != pid)
    yield made("stacks", "no stacks", replace(evidence, stacks=others))
    for text, begun_s in (
        ("stacks read too early", evidence.before.begun_s),
        ("stacks read too late", evidence.after.ended_s),
    ):
        changed = edit_stacks(
            evidence, pid, lambda s, at=begun_s: replace(s, begun_s=at, ended_s=at)
        )
        yield made("stacks", text, changed)
    nobody = edit_stacks(
        evidence,
        pid,
        lambda s: replace(s, threads=tuple(replace(t, holds_gil=HIDDEN) for t in s.threads)),
    )
    yield made("gil", "holder of the GIL hidden", nobody)
    for text, fact in (("hidden", HIDDEN), ("another", known(False, "test"))):
        elsewhere = edit_stacks(
            evidence,
            pid,
            lambda s, fact=fact: replace(
                s, threads=tuple(replace(t, waits_on_lock_of_line=fact) for t in s.threads)
            ),
        )
        yield made("lock-of-line", f"the lock of the innermost line {text}", elsewhere)
    unknown_library = edit_stacks(evidence, pid, lambda s: replace(s, standard_library=HIDDEN))
    yield made("standard-library", "the standard library hidden", unknown_library)


def tree_mutations(evidence: Evidence) -> Iterator[Mutation]:
    """Changes of what concerns all processes."""
    after = evidence.after
    for when in ("before", "after"):
        snapshot: Snapshot = getattr(evidence, when)
        hidden = replace(evidence, **{when: replace(snapshot, outside_holders=HIDDEN)})
        text = f"outside holders hidden ({when})"
        yield Mutation(site=(), fact="outside_holders", text=text, evidence=hidden)
    targets = {
        descriptor.target
        for process in after.processes
        if isinstance(process.descriptors, Known)
        for descriptor in process.descriptors.value
        if descriptor.target.startswith("pipe:")
    }
    targets |= {
        target
        for process in after.processes
        if isinstance(process.peers, Known)
        for peer in process.peers.value
        if peer.pair
        for target in (peer.socket, peer.other)
    }
    ends: tuple[tuple[str, Literal["r", "w"]], ...] = (
        ("before", "r"),
        ("after", "r"),
        ("after", "w"),
    )
    for target in sorted(targets):
        for when, access in ends:
            holder = known((PipeHolder(pid=1, target=target, access=access),), "test")
            snapshot = replace(getattr(evidence, when), outside_holders=holder)
            changed = replace(evidence, **{when: snapshot})
            text = f"a stranger with an end ({access}) of {target} ({when})"
            yield Mutation(site=(), fact=target, text=text, evidence=changed)
    stranger = replace(after.processes[0], pid=NO_SUCH_THREAD)
    before = replace(evidence.before, processes=(*evidence.before.processes, stranger))
    changed = replace(evidence, before=before)
    yield Mutation(site=(), fact="processes", text="a process that has ended", evidence=changed)
    for name in ("libc", "architecture"):
        machine = replace(evidence.machine, **{name: "unknown"})
        changed = replace(evidence, machine=machine)
        yield Mutation(site=(), fact=name, text=f"unknown {name}", evidence=changed)


def _one_switch_more(thread: ThreadFacts) -> ThreadFacts:
    if not isinstance(thread.switches, Known):
        return thread
    more = replace(thread.switches.value, involuntary=thread.switches.value.involuntary + 1)
    return replace(thread, switches=replace(thread.switches, value=more))


def _other_argument(thread: ThreadFacts) -> ThreadFacts:
    if not isinstance(thread.activity, Known) or not isinstance(thread.activity.value, SystemCall):
        return thread
    call = thread.activity.value
    first, *others = call.arguments
    call = replace(call, arguments=(first ^ 0x1_0000_0000, *others))
    return replace(thread, activity=replace(thread.activity, value=call))


def _with_time_limit(thread: ThreadFacts) -> ThreadFacts:
    return replace(thread, timeout=known(TimeLimit(due_s=HIDDEN, exact=False), "test"))


def _is_public(thread: ThreadFacts) -> bool:
    activity = thread.activity
    if not isinstance(activity, Known) or not isinstance(activity.value, SystemCall):
        return False
    return activity.value.name == "futex" and not activity.value.arguments[1] & 0x80


def _in_shared_memory(thread: ThreadFacts) -> ThreadFacts:
    assert isinstance(thread.word, Known)
    word = thread.word.value
    shared = replace(word.mapping, permissions=word.mapping.permissions[:-1] + "s")
    return replace(thread, word=replace(thread.word, value=replace(word, mapping=shared)))


def _in_read_only_file(thread: ThreadFacts) -> ThreadFacts:
    assert isinstance(thread.word, Known)
    word = thread.word.value
    page = replace(word.mapping, permissions="r--p", path="/memfd:test (deleted)")
    return replace(thread, word=replace(thread.word, value=replace(word, mapping=page)))


def _without_owner(thread: ThreadFacts) -> ThreadFacts:
    """Whatever field could hold the owner's id names a thread that is not there."""
    assert isinstance(thread.word, Known) and isinstance(thread.activity, Known)
    word = thread.word.value
    content = bytearray.fromhex(word.around)
    at = word.address - word.around_start
    # The word itself (a join), a mutex's owner, a rwlock's writer seen from either of its words.
    for offset in (0, 8, 16, 12):
        field = content[at + offset : at + offset + 4]
        if int.from_bytes(field, "little") > 3:
            content[at + offset : at + offset + 4] = NO_SUCH_THREAD.to_bytes(4, "little")
    return replace(thread, word=replace(thread.word, value=replace(word, around=content.hex())))


# --- what a proof rests on ----------------------------------------------------------------------


def rests_on(proof: Proof, evidence: Evidence) -> tuple[frozenset[Fact], frozenset[Fact]]:
    """The facts without which there is no proof, and those without which it names no owner.

    Both are told from the nodes, edges and conditions of the proof; the evidence only tells which
    processes there are.
    """
    needed: set[Fact] = set()
    owners: set[Fact] = set()
    nodes = {node.id: node for node in proof.nodes}
    waits = {edge.tail: edge.head for edge in proof.edges if edge.relation == "waits for"}
    held = {edge.tail for edge in proof.edges if edge.relation == "held by"}
    for tail, head in waits.items():
        pid, tid = map(int, tail.split("-")[1:])
        key, lock = (pid, tid), nodes[head]
        needed |= {(key, name) for name in ("activity", "state", "timeout", "presence")}
        if lock.kind == "gil":
            needed |= {((pid,), name) for name in ("python", "stacks", "gil", "old_gil_calls")}
            needed |= {((pid,), name) for name in ("signals", "cancellation", "cancelling")}
            continue
        needed |= {(key, "switches"), (key, "state-before"), (key, "channel")}
        if lock.kind in ("lock", "end", "python-lock", "futex"):
            needed.add((key, "word"))
        if lock.kind in ("lock", "end"):
            owners |= {(key, "code"), (key, "owner"), ((), "libc"), ((), "architecture")}
            owners |= in_both(pid, "shares_memory_with")
        if lock.kind == "end":
            owners |= {((pid,), name) for name in ("signals", "cancellation", "cancelling")}
        if lock.kind == "python-lock" and lock.id in held:
            owners |= {((pid,), name) for name in ("cancellation", "cancelling")}
        if lock.kind == "python-lock":
            owners |= {((pid,), name) for name in ("stacks", "lock-of-line", "standard-library")}
        if lock.kind in ("child", "pipe", "polled"):
            others = [each.pid for each in evidence.after.processes if each.pid != pid]
            needed |= {((other,), "alarms") for other in others}
        if lock.kind in ("pipe", "polled"):
            needed |= {((pid,), "descriptors"), ((), "outside_holders")}
            needed |= {((), target) for target in lock.label.split(" or ")}
            for process in evidence.after.processes:
                needed |= in_both(process.pid, "descriptors_in_flight")
        if lock.kind == "polled":
            needed.add((key, "polled"))
            if "socket:" in lock.label:
                needed |= in_both(pid, "peers")
    if any(node.kind == "tree" for node in proof.nodes):
        needed.add(((), "processes"))
    for condition in proof.conditions:
        if not condition.subject.startswith("process-"):
            continue
        pid = pid_of(condition)
        if condition.name == "threads-complete":
            needed |= {((pid,), "threads_after"), ((pid,), "start")}
        elif condition.name == "no-io-uring":
            needed |= in_both(pid, "tracer", "shares_memory_with", "timers")
            needed |= in_both(pid, "descriptors", "own_descriptors", "io-uring", "special_mappings")
        elif condition.name == "no-waking-signal" and "SIGINT" in condition.detail:
            needed |= in_both(pid, "interrupt")
        elif condition.name == "no-foreign-handler":
            needed |= in_both(pid, "signals", "waking-signal")
            if "SIGINT" in condition.detail:
                needed |= in_both(pid, "python")  # it may be a handler in C
            if "SIGCANCEL" in condition.detail or "SIGSETXID" in condition.detail:
                needed |= {((), "libc"), *in_both(pid, "python")}
    # A process that was not there before had no threads there, either.
    pids = {site[0] for site, _ in needed if site}
    needed |= {((pid,), "presence-before") for pid in pids}
    return frozenset(needed), frozenset(owners - needed)


def in_both(pid: int, *names: str) -> set[Fact]:
    """Facts of a process in both snapshots."""
    return {((pid,), name + suffix) for name in names for suffix in ("", "-before")}


def pid_of(condition: Condition) -> int:
    """Of a condition about a process."""
    return int(condition.subject.split("-")[1])


# --- less knowledge -----------------------------------------------------------------------------


def with_one_fact_hidden(evidence: Evidence) -> Iterator[tuple[str, Evidence]]:
    """Every evidence in which one more fact is unknown, with the place of the fact."""
    yield from _hidden(evidence)


def _hidden(value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Known):
        yield "", HIDDEN
        for path, inner in _hidden(value.value):
            yield path, replace(value, value=inner)
    elif isinstance(value, tuple):
        for number, item in enumerate(value):
            for path, inner in _hidden(item):
                yield f"[{number}]{path}", (*value[:number], inner, *value[number + 1 :])
    elif isinstance(value, msgspec.Struct) and not isinstance(value, Unknown):
        for name in value.__struct_fields__:
            for path, inner in _hidden(getattr(value, name)):
                yield f".{name}{path}", replace(value, **{name: inner})
