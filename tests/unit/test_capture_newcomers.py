from __future__ import annotations

import sys
import threading

import pytest

from deadlock_matrix.capture.newcomers import Restless, births_of_processes, visit_all
from deadlock_matrix.capture.proc_text import Status
from deadlock_matrix.capture.process import _signals
from deadlock_matrix.capture.procfs import ThreadsRead
from deadlock_matrix.capture.stack_tools import _gil_answers
from deadlock_matrix.model.fact import Known, Unknown
from deadlock_matrix.model.thread_facts import Switches


def test_who_comes_while_the_others_are_visited_is_visited() -> None:
    there = {1, 2}
    visited: list[int] = []

    def visit(number: int) -> bool:
        visited.append(number)
        if number < 5:
            there.add(number + 2)
        return True

    visit_all("ones", lambda: sorted(there), visit)
    assert sorted(visited) == [1, 2, 3, 4, 5, 6]


def test_a_number_that_was_gone_counts_as_new_when_it_is_back() -> None:
    answers = {7: [False, True]}
    visit_all("ones", lambda: [7], lambda number: answers[number].pop(0))
    assert answers == {7: []}


def test_a_number_may_be_another_s_after_a_list_without_it() -> None:
    lists = [[1, 5], [1], [1, 5], [1, 5], [1, 5]]
    visited: list[int] = []

    def visit(number: int) -> bool:
        visited.append(number)
        return True

    visit_all("ones", lambda: lists.pop(0), visit, quiet=2)
    assert visited == [1, 5, 5] and lists == []


def test_several_quiet_lists_can_be_asked_for() -> None:
    lists = [[1], [1], [1, 2], [2], [2]]
    visited: list[int] = []

    def visit(number: int) -> bool:
        visited.append(number)
        return True

    visit_all("ones", lambda: lists.pop(0), visit, quiet=2)
    assert visited == [1, 2] and lists == []


def test_nobody_waits_for_ever_for_the_last_one() -> None:
    numbers = iter(range(10**6))
    with pytest.raises(Restless, match="new ones"):
        visit_all("ones", lambda: [next(numbers)], lambda _: True)


def test_without_a_birth_one_list_is_enough() -> None:
    """On a busy machine somebody new is in every list."""
    numbers = iter(range(10**6))
    born = iter([1, 1, 2, 2, 3, 3, 3])
    visited: list[int] = []

    def visit(number: int) -> bool:
        visited.append(number)
        return True

    visit_all("ones", lambda: [next(numbers)], visit, 2, lambda: next(born))
    # Asked whether it is known, then before each list and after its visits: 1-2, 2-3, 3-3.
    assert visited == [0, 1, 2] and list(born) == []


def test_who_has_gone_left_nobody_if_nobody_was_born() -> None:
    lists = [[1, 2], [1, 2]]
    visit_all("ones", lambda: lists.pop(0), lambda number: number == 1, 2, lambda: 5)
    assert lists == [[1, 2]]


def test_births_that_nobody_counts_are_no_quiet() -> None:
    numbers = iter(range(10**6))
    with pytest.raises(Restless):
        visit_all("ones", lambda: [next(numbers)], lambda _: True, 2, lambda: 0)


def test_nobody_waits_for_ever_for_a_moment_without_a_birth() -> None:
    numbers, born = iter(range(10**6)), iter(range(1, 10**6))
    with pytest.raises(Restless):
        visit_all("ones", lambda: [next(numbers)], lambda _: True, 2, lambda: next(born))


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="asks the kernel")
def test_a_birth_is_counted() -> None:
    before = births_of_processes()
    thread = threading.Thread(target=str)
    thread.start()
    thread.join()
    assert not before or births_of_processes() > before


# --- who holds the GIL, by pystack's answers ----------------------------------------------------


def reply(tid: int, gil: int) -> dict[str, object]:
    return {"tid": tid, "gil": gil, "version": [3, 11], "interpreter": 0}


def test_the_holder_is_told() -> None:
    first, second = _gil_answers(1, [reply(1, 1), reply(2, 0)], {1, 2})
    assert isinstance(first, Known) and isinstance(second, Known)
    assert (first.value, second.value) == (True, False)


@pytest.mark.parametrize(
    ("replies", "reason"),
    [
        ([reply(1, 1), reply(1, 0)], "two thread states"),
        ([reply(1, 0), reply(1, 0), reply(2, 1)], "two thread states"),
        ([reply(1, 0), reply(3, 1)], "has ended"),
        ([reply(1, 0), reply(0, 1)], "has ended"),
    ],
)
def test_a_thread_state_may_be_used_by_another_than_its_maker(
    replies: list[dict[str, object]], reason: str
) -> None:
    for answer in _gil_answers(1, replies, {1, 2}):
        assert isinstance(answer, Unknown) and reason in answer.reason


# --- handlers -----------------------------------------------------------------------------------


def status(caught: int, ignored: int, pending: int) -> Status:
    return Status(
        state="S",
        own_id=1,
        own_process_id=1,
        parent=0,
        tracer=0,
        pending=pending,
        pending_shared=0,
        blocked=0,
        ignored=ignored,
        caught=caught,
        switches=Switches(voluntary=1, involuntary=0),
    )


def test_a_handler_that_goes_meanwhile_counts() -> None:
    read = ThreadsRead(statuses=[status(0b11, 0b100, 1), status(0b01, 0b1100, 2)])
    signals = _signals(1, read)
    assert isinstance(signals, Known)
    assert (signals.value.caught, signals.value.ignored, signals.value.pending) == (3, 4, 3)
