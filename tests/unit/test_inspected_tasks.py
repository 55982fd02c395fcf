"""What a reader sees of tasks: the sentence, the user's lines, the tree of who awaits whom."""

from __future__ import annotations

from typing import Any

from unit import proof_factory as make

from deadlock_matrix.app.inspection import of_process
from deadlock_matrix.model.tasks import Task
from deadlock_matrix.model.verdict import Judgement
from deadlock_matrix.proof.judge import judge
from deadlock_matrix.render.inspection import View, inspection_text, stuck_text

A, B, C = 0x100, 0x200, 0x300
CROSSED = (
    make.task(A, make.awaiting("lock", 0xB0, name="self.b", of="Store"), 0xA0, name="one"),
    make.task(B, make.awaiting("lock", 0xA0, name="self.a", of="Store"), 0xB0, name="two"),
)
DEAD = make.dead_loop()
ALIVE = make.process(make.sleeping(1))


def shown(*tasks: Task, alive: Any = ALIVE, view: View | None = None) -> list[str]:
    evidence = make.evidence(alive, stacks=(make.loops(1, *tasks),))
    found = of_process(1, judge(evidence), evidence)
    return inspection_text(found, view or View(source=SOURCE)).splitlines()


SOURCE = {("/app/store.py", 7): "async with self.b:"}


def test_first_line_says_who_waits_for_what_held_by_whom() -> None:
    first, second, *_ = shown(*CROSSED)
    assert first == (
        "likely partial deadlock: task 'one' in take (store.py:7) waits for Lock self.b of Store, "
        "held by task 'two'; task 'two' in take (store.py:7) waits for Lock self.a of Store, held "
        "by task 'one': stuck for good, if the assumptions hold"
    )
    assert second == "    /app/store.py:7: async with self.b:"


def test_tree_of_those_that_are_stuck() -> None:
    above = make.task(C, make.awaiting("gather", tasks=(A, B), what="gather"), name="main")
    idle = make.task(0x400, make.awaiting("timer"), name="beat")
    lines = shown(*CROSSED, above, idle)
    at = lines.index("event loop run by main thread 1: 4 tasks")
    tree = [line.partition(" likely stuck:")[0] for line in lines[at + 1 : at + 7]]
    assert tree == [
        "    task 'main' in take (store.py:7)",
        "        task 'one' in take (store.py:7)",
        "            task 'two' in take (store.py:7)",
        "                (task 'one': shown above)",
        "        (task 'two': shown above)",
        "    1 other task, not stuck",
    ]


def test_in_a_loop_whose_thread_is_stuck() -> None:
    first = shown(*CROSSED, alive=DEAD)[0]
    assert first.startswith("deadlock: task 'one' in take")
    assert first.endswith("held by task 'one': stuck for good")


def test_many_alike_are_one_line_and_few_are_named_without_a_proof() -> None:
    many = [make.task(at, make.awaiting("queue", name="q")) for at in range(0x1000, 0x1064)]
    lines = shown(*many)
    assert any("100 tasks alike, such as task" in line for line in lines)
    assert "in its event loop" not in lines[0]
    assert "in its event loop task 't256'" in shown(make.task(A, make.awaiting("queue")))[0]
    every = shown(*many, view=View(all_frames=True))
    assert sum(" of queue 0x" in line for line in every) == 100


def test_thread_that_runs_the_job_which_a_task_awaits() -> None:
    dead = make.dead_loop(make.on_mutex(2, 2, kind=1))
    awaits = make.awaiting("executor", what="job", thread=2)
    first = shown(make.task(A, awaits, name="job"), alive=dead)[0]
    assert "waits for a job of an executor, which thread 2 runs; behind it, thread 2" in first


def test_what_is_printed_while_the_command_goes_on() -> None:
    evidence = make.evidence(ALIVE, stacks=(make.loops(1, *CROSSED),))
    judgement: Judgement = judge(evidence)
    told = stuck_text(of_process(1, judgement, evidence))
    assert "event loop run by main thread 1: 2 tasks" in told


def test_names_of_tasks_cannot_forge_lines() -> None:
    hostile = make.task(A, make.awaiting("lock", 0xA0), 0xA0, name="x\ny\x1b[31m")
    for line in shown(hostile):
        assert "\x1b" not in line and not line.startswith("y")
