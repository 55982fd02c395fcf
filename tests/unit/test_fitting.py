"""What is tried against a hang: nothing that cannot matter, and changes that are Python."""

from __future__ import annotations

import ast
import threading

import pytest
from msgspec.structs import replace

from deadlock_matrix.app.source_text import changed
from deadlock_matrix.diagnosis.investigation.changes import AFTER, changes_for, lock_order
from deadlock_matrix.diagnosis.investigation.clues import Clues, Wait
from deadlock_matrix.diagnosis.investigation.fitting import (
    LAZY_IMPORTS,
    Setting,
    fitting,
    profiles_of,
)
from deadlock_matrix.model.cell import Calling, Profile
from deadlock_matrix.model.diagnosis import Change, SourceLine, Stuck
from deadlock_matrix.model.stack_facts import Awaited, HeldLock
from deadlock_matrix.model.verdict import Doing

CLUES = Clues(
    proved=True,
    waits=frozenset({Wait.JOIN, Wait.IMPORT}),
    forked=False,
    forked_by_multiprocessing=False,
    calling=Calling.MAIN,
    involved=(),
    pools=(),
    packages=frozenset(),
    files=(),
    causes=frozenset(),
)
FOUR = Profile(name="four", set={"A": "1", "B": "1", "C": "1"}, unset=("D",))
OLD, NEW = (3, 14), (3, 15)


def names(
    *profiles: Profile, mentioned: set[str], waits: frozenset[Wait] = CLUES.waits
) -> list[str]:
    clues = replace(CLUES, waits=waits)
    return [each.name for each in fitting(profiles, clues, mentioned, (), OLD)]


def test_a_profile_is_tried_with_those_variables_alone_that_are_read() -> None:
    (found,) = fitting((FOUR,), CLUES, {"B"}, (), OLD)
    assert (found.name, found.set, found.unset) == ("B=1", {"B": "1"}, ())
    assert names(FOUR, mentioned={"A", "B", "C", "D"}) == ["four"]
    assert names(FOUR, mentioned={"OTHER"}) == []


def test_what_comes_to_the_same_is_tried_once() -> None:
    one = Profile(name="one", set={"B": "1"})
    assert names(FOUR, one, mentioned={"B"}) == ["B=1"]


def test_a_setting_is_tried_for_the_waits_that_it_helps_against() -> None:
    settings = (
        Setting(name="OFFLINE", value="1", summary="", waits=frozenset({Wait.NETWORK})),
        Setting(name="THREADS", value="1", summary="", waits=frozenset({Wait.NATIVE, Wait.GIL})),
    )
    assert list(profiles_of(settings, CLUES.waits)) == []
    (offline,) = profiles_of(settings, {Wait.NETWORK, Wait.JOIN})
    assert (offline.name, offline.set) == ("OFFLINE=1", {"OFFLINE": "1"})
    assert [each.name for each in profiles_of(settings, {Wait.GIL})] == ["THREADS=1"]


def test_a_variable_of_the_caller_that_the_code_reads_is_left_out() -> None:
    (found,) = fitting((), CLUES, {"FAST"}, {"FAST"}, OLD)
    assert (found.name, found.unset) == ("without FAST", ("FAST",))


def test_lazy_imports_are_tried_where_python_has_them() -> None:
    assert fitting((), CLUES, (), (), NEW) == (LAZY_IMPORTS,)
    assert fitting((), CLUES, (), (), OLD) == ()
    assert fitting((), replace(CLUES, waits=frozenset({Wait.GIL})), (), (), NEW) == ()


TEXT = """\
import threading

if True:
    worker = threading.Thread(target=print)
    worker.start()
    RESULT = worker.join()
lock = threading.Lock()
"""


def stuck(line: int, function: str = "<module>") -> Stuck:
    place = SourceLine(file="m.py", line=line, function=function)
    return Stuck(thread="main thread 1", does="waits", lines=(place,))


def run_with(change: Change) -> dict[str, object]:
    namespace: dict[str, object] = {"threading": threading}
    exec(compile(changed(TEXT, change), "m.py", "exec"), namespace)
    return namespace


def test_the_line_that_waits_moves_into_a_function() -> None:
    (change,) = changes_for(CLUES, [stuck(6)], [], {"m.py": TEXT})
    assert (change.line, change.call) == (6, AFTER)
    assert change.before == ("    RESULT = worker.join()",)
    namespace = run_with(change)
    assert "RESULT" not in namespace
    namespace[AFTER]()  # type: ignore[operator]
    assert "RESULT" in namespace


def test_threads_that_wait_for_each_other_do_so_after_the_import_too() -> None:
    clues = replace(CLUES, waits=frozenset({Wait.PYTHON_LOCK}))
    assert changes_for(clues, [stuck(6), stuck(5)], [], {"m.py": TEXT}) == ()
    (change,) = changes_for(clues, [stuck(6)], [], {"m.py": TEXT})
    assert change.call == ""  # whoever calls it waits: the import does not


def wanted(name: str, address: int = 1) -> Awaited:
    return Awaited(kind="Lock", address=address, name=name, function="f", file="m.py", line=9)


def held(name: str, address: int, line: int = 3) -> HeldLock:
    return HeldLock(kind="Lock", address=address, name=name, function="g", file="m.py", line=line)


def doing(tid: int, waits_for: Awaited, *holds: HeldLock) -> Doing:
    return Doing(pid=1, tid=tid, name=f"thread {tid}", does="waits", stuck=True,
                 waits_for=waits_for, holds=holds)  # fmt: skip


def test_a_lock_that_a_thread_takes_twice_becomes_an_rlock() -> None:
    twice = doing(1, wanted("lock"), held("lock", 1))
    found = changes_for(CLUES, [], [twice], {"m.py": TEXT})
    assert [each.after for each in found] == [("lock = threading.RLock()",)]
    # It would take it twice after the import, too.
    assert changes_for(CLUES, [stuck(6)], [twice], {"m.py": TEXT}) == found


def test_a_forked_child_gets_a_lock_of_its_own() -> None:
    clues = replace(CLUES, waits=frozenset({Wait.PYTHON_LOCK}), forked=True)
    (change,) = changes_for(clues, [], [doing(1, wanted("lock"))], {"m.py": TEXT})
    ast.parse(changed(TEXT, change))
    assert "import os" in change.after


@pytest.mark.parametrize(
    ("line", "then"),
    [
        ("urlopen(ADDRESS).read()", "urlopen(ADDRESS, timeout=10).read()"),
        ("requests.get(a, headers=h)", "requests.get(a, headers=h, timeout=10)"),
        ("s = Session(); s.get(a)", "s = Session(); s.get(a, timeout=10)"),
        (
            "c = HTTPSConnection(h); c.request('GET', a)",
            "c = HTTPSConnection(h, timeout=10); c.request('GET', a)",
        ),
        ("c = create_connection(a); c.recv(9)", "c = create_connection(a, timeout=10); c.recv(9)"),
    ],
)
def test_a_request_gets_a_time_limit(line: str, then: str) -> None:
    clues = replace(CLUES, waits=frozenset({Wait.NETWORK}))
    (found,) = changes_for(clues, [stuck(1, "load")], [], {"m.py": line})
    assert (found.before, found.after, found.tried) == ((line,), (then,), False)


@pytest.mark.parametrize("line", ["c.request('GET', a)", "settings.get(a)", "requests.get(a, **b)"])
def test_a_call_that_may_take_no_time_limit_is_left_alone(line: str) -> None:
    clues = replace(CLUES, waits=frozenset({Wait.NETWORK}))
    assert changes_for(clues, [stuck(1, "load")], [], {"m.py": line}) == ()


MAIN = """import multiprocessing
def square(x):
    return x * x
pool = multiprocessing.Pool(2)
print(pool.map(square, range(5)))
"""


def test_what_starts_processes_is_put_below_the_line_that_children_skip() -> None:
    other = replace(CLUES, waits=frozenset())
    clues = replace(other, causes=frozenset({"spawned-child-runs-main-again"}))
    (change,) = changes_for(clues, [stuck(5)], [], {"m.py": MAIN})
    assert (change.line, change.after[0]) == (4, 'if __name__ == "__main__":')
    namespace = {"__name__": "__mp_main__"}
    exec(compile(changed(MAIN, change), "m.py", "exec"), namespace)
    assert "square" in namespace
    assert "pool" not in namespace
    assert changes_for(other, [stuck(5)], [], {"m.py": MAIN}) == ()
    later = MAIN.replace("def square", "pool = multiprocessing.Pool(2)\ndef square")
    assert changes_for(clues, [stuck(6)], [], {"m.py": later}) == ()  # children need square


def test_the_lines_that_take_locks_crosswise_are_named() -> None:
    crossed = [doing(1, wanted("b", 2), held("a", 1)), doing(2, wanted("a", 1), held("b", 2, 5))]
    first, second = lock_order(crossed, lambda file, line: f"with {line}:")
    assert "thread 1 takes one at m.py:3 (`with 3:`) and then one at m.py:9 (`with 9:`)" in first
    assert "take the lock of m.py:9 (`with 9:`) before that of m.py:5" in second
    assert lock_order(crossed[:1], lambda file, line: "") == ()


def test_lines_that_take_the_locks_of_different_objects_are_told_from_crossed_ones() -> None:
    def at(tid: int) -> Doing:
        return doing(tid, wanted("self.peer.guard", tid + 1), held("self.guard", tid))

    first, second = lock_order([at(1), at(2), at(3)], lambda file, line: f"with {line}:")
    assert first.startswith("Each of these threads takes a lock at m.py:")
    assert "the same two lines" in first
    assert "thread 3" not in first
    assert "sort the objects" in second
    assert "before that of" not in second
