"""The GIL, joins and import locks: owners that only the interpreter's own state shows."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from unit.proof_factory import (
    RUNTIME,
    UNKNOWN,
    call,
    change,
    evidence,
    frame,
    gap_of,
    on_futex,
    on_mutex,
    owner_of,
    process,
    python,
    running,
    sleeping,
    stack,
    stacks,
    wait_of,
    wanting_gil,
)

from deadlock_matrix.model.evidence import Evidence
from deadlock_matrix.model.fact import Known, Unknown, known
from deadlock_matrix.model.frames import PythonFrame
from deadlock_matrix.model.stack_facts import Awaited, StackFacts, ThreadStack
from deadlock_matrix.model.thread_facts import NoTimeout, ThreadFacts
from deadlock_matrix.model.verdict import AssumptionKind, ProofKind
from deadlock_matrix.proof.check import find_faults
from deadlock_matrix.proof.interpreter import IMPORTLIB, describe, modules_held, waited_module
from deadlock_matrix.proof.judge import judge
from deadlock_matrix.proof.world import World, index

BETWEEN, TOO_EARLY, OVERLAPPING, TOO_LATE = 10.2, 9.0, 10.05, 10.45


def python_process(
    *threads: ThreadFacts,
    before: tuple[ThreadFacts, ...] | None = None,
    read: tuple[StackFacts, ...] = (),
    **facts: Any,
) -> World:
    """A process of Python's with these threads."""
    facts = {"python": python(), **facts}
    earlier = None if before is None else (process(*before, **facts),)
    return index(evidence(process(*threads, **facts), before=earlier, stacks=read))


# --- the GIL ------------------------------------------------------------------------------------


def gil(holders: dict[int, bool | None], at_s: float = BETWEEN) -> tuple[StackFacts, ...]:
    return (stacks(1, *(stack(tid, gil=held) for tid, held in holders.items()), at_s=at_s),)


def test_gil_with_one_holder() -> None:
    found = python_process(wanting_gil(1), sleeping(2), read=gil({1: False, 2: True}))
    wait = wait_of(found, 1)
    assert wait.wakers == {(1, 2)} and wait.scope == "thread" and not wait.interruptible
    assert wait.node.kind == "gil" and wait.phrase == "waits for the GIL"
    names = [condition.name for condition in wait.conditions]
    assert names == ["waits-for-gil", "gil-by-thread-state", "no-cancellation"]


@pytest.mark.parametrize("calls", [known(("/lib/old.so",), "mem"), UNKNOWN])
def test_gil_that_may_have_been_taken_for_nobody(calls: Known[tuple[str, ...]] | Unknown) -> None:
    read = gil({1: False, 2: True})
    found = python_process(wanting_gil(1), sleeping(2), read=read, old_gil_calls=calls)
    assert gap_of(found, 1)[0] == "unknown"


def test_gil_waiter_that_may_be_cancelled() -> None:
    """Its wait is a cancellation point, and who is cancelled lets go of its locks."""
    found = python_process(
        wanting_gil(1),
        sleeping(2),
        read=gil({1: False, 2: True}),
        cancelling=known(("/lib/app.so",), "mem"),
    )
    wait = wait_of(found, 1)
    assert wait.wakers == {(1, 2)}
    assert [each.kind for each in wait.assumptions] == [AssumptionKind.NOT_CANCELLED]
    assert "app.so names pthread_cancel" in wait.assumptions[0].detail


@pytest.mark.parametrize(
    "holders",
    [
        {1: False, 2: False},
        {1: False, 2: True, 3: True},
        {1: None, 2: None},
        {1: False, 99: True},  # of a thread that is gone
        {},
    ],
)
def test_gil_without_exactly_one_holder(holders: dict[int, bool | None]) -> None:
    found = python_process(wanting_gil(1), sleeping(2), sleeping(3), read=gil(holders))
    kind, detail = gap_of(found, 1)
    assert kind == "unknown" and "who holds the GIL" in detail


def test_gil_held_by_the_thread_that_wants_it() -> None:
    found = python_process(wanting_gil(1), read=gil({1: True}))
    assert gap_of(found, 1) == ("unknown", "holds the GIL and waits for it at once")


@pytest.mark.parametrize("at_s", [TOO_EARLY, OVERLAPPING, TOO_LATE])
def test_gil_by_stacks_from_another_moment(at_s: float) -> None:
    read = gil({1: False, 2: True}, at_s=at_s)
    kind, detail = gap_of(python_process(wanting_gil(1), sleeping(2), read=read), 1)
    assert kind == "unknown" and "another moment" in detail


@pytest.mark.parametrize("read", [(), (StackFacts(pid=1, stacks=UNKNOWN),)])
def test_gil_without_stacks(read: tuple[StackFacts, ...]) -> None:
    assert gap_of(python_process(wanting_gil(1), sleeping(2), read=read), 1)[0] == "unknown"


@pytest.mark.parametrize(
    "earlier",
    [
        {"activity": known(call("futex", 0x1000), "syscall")},
        {"activity": known(call("read", RUNTIME + 0x100), "syscall")},
        {"activity": UNKNOWN},
    ],
)
def test_gil_wanted_only_now(earlier: dict[str, Any]) -> None:
    now = wanting_gil(1)
    before = (change(now, **earlier), sleeping(2))
    read = gil({1: False, 2: True})
    kind, detail = gap_of(python_process(now, sleeping(2), before=before, read=read), 1)
    assert (kind, detail) == ("does-not-hold", "has only begun to wait for the GIL")


@pytest.mark.parametrize("at", [RUNTIME - 8, RUNTIME + 0x1000])
def test_timed_wait_outside_the_runtime_is_not_for_the_gil(at: int) -> None:
    read = gil({1: False, 2: True})
    kind, detail = gap_of(python_process(wanting_gil(1, at=at), sleeping(2), read=read), 1)
    assert kind == "does-not-hold" and "time limit" in detail


def test_wait_for_the_gil_in_a_process_whose_runtime_is_not_known() -> None:
    read = gil({1: False, 2: True})
    found = python_process(wanting_gil(1), sleeping(2), read=read, python=UNKNOWN)
    assert gap_of(found, 1)[0] == "does-not-hold"


def test_wait_for_the_gil_whose_time_limit_is_not_known() -> None:
    read = gil({1: False, 2: True})
    found = python_process(wanting_gil(1, timeout=UNKNOWN), sleeping(2), read=read)
    assert gap_of(found, 1)[0] == "unknown"


def test_untimed_wait_inside_the_runtime_is_any_futex() -> None:
    untimed = wanting_gil(1, timeout=known(NoTimeout(), ""))
    wait = wait_of(python_process(untimed, sleeping(2), read=gil({1: False, 2: True})), 1)
    assert wait.scope == "process" and wait.node.kind == "futex"


# --- Thread.join --------------------------------------------------------------------------------

THIS, OTHER = "<Thread at 0x7f0000000010>", "<Thread at 0x7f0000000020>"


def joining(target: str, function: str = "join", file: str = "/lib/threading.py") -> ThreadStack:
    return stack(1, frame("<module>"), frame(function, file, 1149, self=target))


def joined(tid: int, target: str) -> ThreadStack:
    return stack(tid, frame("_bootstrap_inner", "/lib/threading.py", 1045, self=target))


def join(waiter: ThreadStack, *others: ThreadStack, at_s: float = BETWEEN) -> World:
    """Thread 1 waits on a Python lock, threads 2 and 3 on others."""
    threads = (on_futex(1), on_futex(2), on_futex(3))
    return python_process(*threads, read=(stacks(1, waiter, *others, at_s=at_s),))


@pytest.mark.parametrize("function", ["join", "_wait_for_tstate_lock"])
def test_join(function: str) -> None:
    wait = wait_of(join(joining(THIS, function), joined(2, THIS), joined(3, OTHER)), 1)
    assert wait.wakers == {(1, 2)} and wait.interruptible and wait.names_owner
    assert wait.phrase == "joins thread 2 't2'" and wait.node.kind == "python-lock"


@pytest.mark.parametrize(
    "waiter",
    [
        joining(OTHER),  # of a thread whose stack is not there
        joining("<Thread>"),
        joining(""),
        joining(THIS, "wait"),
        joining(THIS, "join", "/home/me/mine.py"),
        stack(1),
    ],
)
def test_join_that_names_nobody(waiter: ThreadStack) -> None:
    assert owner_of(join(waiter, joined(2, THIS)), 1) is None


@pytest.mark.parametrize("own_lock", [known(False, "mem"), UNKNOWN])
def test_thread_held_up_inside_join(own_lock: Known[bool] | Unknown) -> None:
    """By a profiler, say: its futex is not that of the join."""
    waiter = stack(1, frame("join", "/lib/threading.py", 1, self=THIS), own_lock=own_lock)
    assert owner_of(join(waiter, joined(2, THIS)), 1) is None


def test_join_in_a_file_that_is_only_called_so() -> None:
    own = "/lib/package/threading.py"
    target = stack(2, frame("_bootstrap_inner", own, 1, self=THIS))
    assert owner_of(join(joining(THIS, "join", own), target), 1) is None


def test_join_where_the_standard_library_is_not_known() -> None:
    read = stacks(1, joining(THIS), joined(2, THIS))
    assert isinstance(read.stacks, Known)
    blind = msgspec.structs.replace(read.stacks.value, standard_library=UNKNOWN)
    read = StackFacts(pid=1, stacks=known(blind, "pystack"))
    found = python_process(on_futex(1), on_futex(2), read=(read,))
    assert owner_of(found, 1) is None


def test_thread_object_used_for_two_threads() -> None:
    assert owner_of(join(joining(THIS), joined(2, THIS), joined(3, THIS)), 1) is None


def test_thread_object_used_again_while_its_first_thread_ends() -> None:
    """That one has left its frames, but has not ended: a destructor runs in it."""
    ending = stack(3, frame("__del__", "app.py"))
    assert owner_of(join(joining(THIS), joined(2, THIS), ending), 1) is None


def of_thread(address: str, owner: Known[int] | Unknown) -> Known[Awaited]:
    return known(
        Awaited(kind="Thread", address=int(address[len("<Thread at ") : -1], 16), owner=owner),
        "memory",
    )


def test_join_of_a_thread_that_is_told_by_its_ident() -> None:
    """The main thread has no frame of its object, nor has a thread that C began."""
    waiter = msgspec.structs.replace(joining(THIS), awaits=of_thread(THIS, known(3, "memory")))
    found = join(waiter, stack(2, frame("loop", "app.py")), stack(3, frame("main", "app.py")))
    assert owner_of(found, 1) == 3


def ending(
    told: Known[Awaited] | Unknown,
    file: str = "/lib/threading.py",
    own_lock: bool = True,
) -> ThreadStack:
    """The main thread, once the program has come to its end."""
    waiter = stack(1, frame("_shutdown", file, 1388), own_lock=known(own_lock, "mem"))
    return msgspec.structs.replace(waiter, awaits=told)


def test_a_program_that_waits_for_a_thread_at_its_end() -> None:
    found = join(ending(of_thread(THIS, known(3, "memory"))), joined(2, OTHER), joined(3, THIS))
    wait = wait_of(found, 1)
    assert wait.wakers == {(1, 3)} and wait.interruptible and wait.names_owner
    assert wait.phrase == "waits at the end of the program for thread 3 't3'"


@pytest.mark.parametrize(
    "waiter",
    [
        ending(UNKNOWN),
        ending(of_thread(THIS, UNKNOWN)),  # a frame of that object does not show who it is
        ending(of_thread(THIS, known(99, "memory"))),
        ending(of_thread(THIS, known(3, "memory")), file="/lib/package/threading.py"),
        ending(of_thread(THIS, known(3, "memory")), own_lock=False),
    ],
)
def test_an_end_of_a_program_that_shows_no_thread(waiter: ThreadStack) -> None:
    assert owner_of(join(waiter, joined(2, OTHER), joined(3, THIS)), 1) is None


@pytest.mark.parametrize(
    "told",
    [
        of_thread(OTHER, known(2, "memory")),
        of_thread(THIS, known(99, "memory")),  # it has ended
        of_thread(THIS, known(1, "memory")),
        of_thread(THIS, UNKNOWN),
        UNKNOWN,
    ],
)
def test_join_of_a_thread_that_no_ident_tells(told: Known[Awaited] | Unknown) -> None:
    waiter = msgspec.structs.replace(joining(THIS), awaits=told)
    assert owner_of(join(waiter, stack(2, frame("loop", "app.py"))), 1) is None


def test_join_of_a_thread_that_has_ended() -> None:
    assert owner_of(join(joining(THIS), joined(99, THIS)), 1) is None


@pytest.mark.parametrize("at_s", [TOO_EARLY, OVERLAPPING, TOO_LATE])
def test_join_by_stacks_from_another_moment(at_s: float) -> None:
    assert owner_of(join(joining(THIS), joined(2, THIS), at_s=at_s), 1) is None


def test_mutex_goes_before_what_the_stack_says() -> None:
    read = stacks(1, joining(THIS), joined(2, THIS))
    found = python_process(on_mutex(1, 3), on_futex(2), on_futex(3), read=(read,))
    assert owner_of(found, 1) == 3


CANCELLING = known(("/lib/app.so",), "mem")


def joined_while(*others: ThreadFacts, **facts: Any) -> Evidence:
    """Thread 1 joins thread 2, which waits for a mutex of thread 1."""
    threads = (on_futex(1), on_mutex(2, 1), *others)
    read = (
        stacks(1, joining(THIS), joined(2, THIS), *(joined(each.tid, OTHER) for each in others)),
    )
    return evidence(process(*threads, python=python(), **facts), stacks=read)


@pytest.mark.parametrize("cancelling", [CANCELLING, UNKNOWN])
def test_join_that_a_cancelled_thread_may_leave(cancelling: Any) -> None:
    """Its clean-up would unlock the mutex; a thread that goes on could cancel it."""
    assert judge(joined_while(running(3))).outcome == "partial"
    judgement = judge(joined_while(running(3), cancelling=cancelling))
    assert judgement.outcome == "likely-partial" and judgement.proof is not None
    assert find_faults(judgement.proof) == ()
    (assumption,) = judgement.proof.assumptions
    assert assumption.kind is AssumptionKind.NOT_CANCELLED
    assert assumption.subject == "thread-1-1"


@pytest.mark.parametrize("cancelling", [CANCELLING, UNKNOWN])
def test_join_in_a_process_none_of_whose_threads_could_cancel(cancelling: Any) -> None:
    judgement = judge(joined_while(cancelling=cancelling))
    assert judgement.outcome == "deadlock" and judgement.proof is not None
    assert find_faults(judgement.proof) == ()
    assert judgement.proof.kind is ProofKind.CLOSED_WORLD
    assert "joins thread 2 't2'" in judgement.proof.sentence
    held_by = judgement.threads[0].held_by
    assert held_by is not None and held_by.tid == 2


# --- import locks -------------------------------------------------------------------------------


def importlib(function: str, **values: str) -> PythonFrame:
    return frame(function, IMPORTLIB, 1000, **values)


def wanting(module: str, tid: int = 1, function: str = "_find_and_load") -> ThreadStack:
    return stack(
        tid,
        frame("<module>"),
        importlib(function, name=f"'{module}'"),
        importlib("__enter__"),
        importlib("acquire"),
    )


def importing(tid: int, *modules: str) -> ThreadStack:
    frames: list[PythonFrame] = []
    for module in modules:
        frames += [
            importlib("_find_and_load", name=f"'{module}'"),
            importlib("_find_and_load_unlocked", name=f"'{module}'"),
            importlib("_load_unlocked"),
            frame("<module>", f"{module}.py"),
        ]
    return stack(tid, *frames)


@pytest.mark.parametrize("function", ["_find_and_load", "_lock_unlock_module"])
def test_import_lock(function: str) -> None:
    found = join(wanting("left", function=function), importing(2, "outer", "left", "inner"))
    wait = wait_of(found, 1)
    assert wait.wakers == {(1, 2)} and wait.interruptible
    assert wait.phrase == "waits for the import lock of module 'left'"
    assert wait.node.kind == "python-lock"


def test_import_lock_that_a_cancelled_thread_may_leave() -> None:
    read = (stacks(1, wanting("left"), importing(2, "left")),)
    found = python_process(on_futex(1), sleeping(2), read=read, cancelling=CANCELLING)
    wait = wait_of(found, 1)
    assert wait.scope == "process" and wait.wakers == {(1, 1), (1, 2)}
    assert wait.phrase == "waits for the import lock of module 'left', held by thread 2 't2'"
    (owned,) = wait.assuming
    assert owned.wakers == {(1, 2)}
    assert [each.kind for each in owned.assumptions] == [AssumptionKind.NOT_CANCELLED]


@pytest.mark.parametrize("own_lock", [known(False, "mem"), UNKNOWN])
def test_thread_held_up_at_an_import_lock(own_lock: Known[bool] | Unknown) -> None:
    waiter = msgspec.structs.replace(wanting("left"), waits_on_lock_of_line=own_lock)
    assert owner_of(join(waiter, importing(2, "left")), 1) is None


@pytest.mark.parametrize("at_s", [TOO_EARLY, OVERLAPPING, TOO_LATE])
def test_import_lock_by_stacks_from_another_moment(at_s: float) -> None:
    assert owner_of(join(wanting("left"), importing(2, "left"), at_s=at_s), 1) is None


@pytest.mark.parametrize(
    "others",
    [
        [],
        [importing(2, "right")],
        [importing(2, "left"), importing(3, "left")],  # two: one of them must be wrong
        [wanting("left", 2)],  # it waits, too
    ],
)
def test_import_lock_without_one_owner(others: list[ThreadStack]) -> None:
    assert owner_of(join(wanting("left"), *others), 1) is None


def test_import_lock_held_by_a_thread_of_another_process() -> None:
    read = (stacks(1, wanting("left")), stacks(50, importing(50, "left")))
    there = process(on_futex(50), parent=1)
    found = index(evidence(process(on_futex(1)), there, stacks=read))
    assert owner_of(found, 1) is None


def test_waited_module_is_told_by_importlib_alone() -> None:
    assert waited_module(stack(1)) == ""
    assert waited_module(stack(1, frame("acquire", "mine.py"))) == ""
    assert waited_module(stack(1, importlib("acquire"))) == ""
    user_code = (importlib("_find_and_load", name="'a'"), frame("f"), importlib("acquire"))
    assert waited_module(stack(1, *user_code)) == ""


def test_modules_held_outermost_first() -> None:
    assert modules_held(importing(2, "a", "b")) == ("a", "b")
    assert modules_held(wanting("a")) == ()


# --- words --------------------------------------------------------------------------------------


def test_describe() -> None:
    assert describe(join(wanting("left")), (1, 1)) == "waits for the import lock of module 'left'"
    inner = stack(1, frame("<module>"), frame("acquire", "/a/b/program.py", 7))
    assert describe(join(inner), (1, 1)) == "waits in acquire (program.py:7)"
    assert describe(join(stack(1)), (1, 1)) == ""
    assert describe(python_process(on_futex(1)), (1, 1)) == ""
