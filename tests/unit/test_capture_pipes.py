from __future__ import annotations

from deadlock_matrix.capture.tree import Process, ancestors, members


def process(pid: int, parent: int, started: int = 0) -> Process:
    return Process(pid=pid, parent=parent, started=started, state="S", is_kernel_thread=False)


TABLE = {p.pid: p for p in [process(1, 0), process(5, 1), process(6, 5), process(7, 6)]}
TABLE |= {p.pid: p for p in [process(9, 1), process(10, 9), process(3, 5)]}


def test_members_put_parents_first_and_take_several_roots() -> None:
    assert members([5], TABLE) == (5, 3, 6, 7)
    assert members([5, 9], TABLE) == (5, 9, 3, 6, 10, 7)
    assert members([5, 6, 404], TABLE) == (5, 6, 3, 7)
    assert members([404], TABLE) == ()


def test_ancestors() -> None:
    assert ancestors(7, TABLE) == (6, 5, 1)
    assert ancestors(404, TABLE) == ()


def test_a_table_that_was_torn_while_it_was_read_ends() -> None:
    looped = {2: process(2, 3), 3: process(3, 2)}
    assert set(ancestors(2, looped)) == {2, 3}
    assert set(members([2], looped)) == {2, 3}
