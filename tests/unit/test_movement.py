"""For how long nothing has worked in a process tree, looked at now and then."""

from __future__ import annotations

import time

import msgspec
from unit import proof_factory as make

from deadlock_matrix.model.fact import known
from deadlock_matrix.model.process_facts import ProcessFacts, Snapshot
from deadlock_matrix.model.thread_facts import Switches
from deadlock_matrix.run.movement import Movement

MAIN = make.sleeping(1)
STARVED = msgspec.structs.replace(make.sleeping(50), state="R")
ASLEEP = make.sleeping(50)


def at(begun_s: float, *processes: ProcessFacts) -> Snapshot:
    snapshot = make.evidence(*processes).after
    return msgspec.structs.replace(snapshot, begun_s=begun_s)


def test_what_nobody_has_seen_is_not_counted() -> None:
    """A look may take long on a busy machine: what happened meanwhile only the next one tells."""
    movement = Movement()
    began_s = time.monotonic()
    tree = make.process(MAIN), make.process(ASLEEP, parent=1)
    assert movement.note(at(began_s + 1, *tree)) == 0
    assert movement.note(at(began_s + 1.25, *tree)) == 0.25
    assert movement.note(at(began_s + 3, *tree)) == 2


def test_a_child_that_waits_for_a_processor_has_something_to_do() -> None:
    movement = Movement()
    began_s = time.monotonic()
    starved = make.process(MAIN), make.process(STARVED, parent=1)
    assert movement.note(at(began_s + 1, *starved)) == 0
    assert movement.note(at(began_s + 9, *starved)) == 0


def test_so_has_a_thread_beside_the_main_one() -> None:
    movement = Movement()
    began_s = time.monotonic()
    tree = make.process(MAIN, STARVED)
    movement.note(at(began_s + 1, tree))
    assert movement.note(at(began_s + 9, tree)) == 0


def test_a_thread_seen_ready_by_chance_does_not_count() -> None:
    movement = Movement()
    began_s = time.monotonic()
    for number in range(6):
        beside = STARVED if number % 2 else ASLEEP
        still_s = movement.note(at(began_s + number, make.process(MAIN, beside)))
    assert still_s >= 5


def test_a_thread_that_asks_for_the_gil_is_often_seen_ready_to_run() -> None:
    movement = Movement()
    began_s = time.monotonic()
    for number in range(5):
        runs = known(Switches(voluntary=number, involuntary=0), "status")
        asks = msgspec.structs.replace(STARVED, switches=runs)
        snapshot = at(began_s + number, make.process(MAIN, asks))
        still_s = movement.note(snapshot, gil_holder=1)
    assert still_s >= 3


def test_a_thread_that_gets_a_processor_now_and_then_computes() -> None:
    """Less than two ticks at a time, which might as well be the clock's grain."""
    movement = Movement()
    began_s = time.monotonic()
    for number in range(100):
        computes = msgspec.structs.replace(ASLEEP, cpu_ticks=70 + number)
        still_s = movement.note(at(began_s + number / 10, make.process(MAIN, computes)))
        assert still_s < 1
