"""What is remembered of interpreters, by which name, and for how long; no process is started."""

from __future__ import annotations

import os
import threading

import msgspec
import pytest
from unit.remembered_factory import World, running, world

from deadlock_matrix.interpreters.question import TimedOut
from deadlock_matrix.interpreters.remembered import (
    Memory,
    add_running,
    is_remembered,
    recall,
    remember,
    silence,
    stamps_of,
)
from deadlock_matrix.model.cell import Interpreter
from deadlock_matrix.model.fact import Known, Unknown, unknown
from deadlock_matrix.model.fingerprint import Running

__all__ = ["world"]  # a fixture

pytestmark = pytest.mark.skipif(os.name != "posix", reason="builds a POSIX environment")


def test_remembered_for_as_long_as_nothing_changes(world: World) -> None:
    assert world.recall() is None
    memory = world.memory()
    remember(world.interpreter, world.cache, memory)
    assert world.recall() == memory


def test_other_variables_are_another_interpreter(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    remember(world.interpreter, world.cache, world.memory())
    for variables in ({"LD_LIBRARY_PATH": "/opt/blas"}, {"MKL_THREADING_LAYER": "GNU"}):
        asked = msgspec.structs.replace(world.interpreter, set=variables)
        assert world.recall(asked) is None
        remember(asked, world.cache, world.memory(asked))
        assert world.recall(asked) is not None
    assert len(list(world.cache.glob("*/*.json"))) == 3

    renamed = msgspec.structs.replace(world.interpreter, name="y")
    assert world.recall(renamed) is not None
    monkeypatch.setenv("LD_LIBRARY_PATH", "/somewhere")  # the caller's own is handed down
    assert world.recall() is None
    monkeypatch.delenv("LD_LIBRARY_PATH")
    monkeypatch.setenv("PYTHONNOUSERSITE", "1")
    assert world.recall() is None


def test_a_wrapper_has_no_files_to_hang_on(world: World) -> None:
    assert stamps_of(world.interpreter, world.answer(executable="/usr/bin/env")) is None


def test_silence_is_remembered_for_as_long_as_it_was_waited_for(world: World) -> None:
    reason = unknown("does not answer within 2 s")
    remember(world.interpreter, world.cache, silence(world.interpreter, reason, 2.0))
    for deadline_s in (1.0, 2.0):
        memory = recall(world.interpreter, world.cache, deadline_s)
        assert memory is not None
        assert memory.fingerprint == reason
    assert recall(world.interpreter, world.cache, 3.0) is None
    world.python.unlink()
    assert world.recall() is None


def test_what_running_showed_is_added(world: World) -> None:
    memory = world.memory()
    assert not is_remembered(memory, "numpy", 5.0)
    shown = running()
    remember(world.interpreter, world.cache, add_running(memory, {"numpy": shown}, 5.0))
    again = world.recall()
    assert again is not None and isinstance(again.fingerprint, Known)
    assert again.fingerprint.value.running == {"numpy": shown}
    assert is_remembered(again, "numpy", 500.0)
    assert not is_remembered(again, "torch", 5.0)

    both = add_running(again, {"torch": shown}, 5.0)
    assert isinstance(both.fingerprint, Known)
    assert set(both.fingerprint.value.running) == {"numpy", "torch"}


def test_one_that_did_not_end_is_run_again_only_with_more_time(world: World) -> None:
    late = TimedOut(reason="import numpy did not end within 5 s")
    partly = running(pools=TimedOut(reason="reading it did not end within 5 s"))
    for found in (late, partly):
        remember(world.interpreter, world.cache, add_running(world.memory(), {"numpy": found}, 5.0))
        again = world.recall()
        assert again is not None
        assert is_remembered(again, "numpy", 4.0)
        assert is_remembered(again, "numpy", 5.0)
        assert not is_remembered(again, "numpy", 6.0)
        ended = add_running(again, {"numpy": running()}, 6.0)
        assert is_remembered(ended, "numpy", 600.0)


def test_one_that_failed_is_run_again(world: World) -> None:
    failed: dict[str, Known[Running] | Unknown] = {
        "numpy": unknown("import numpy raised ImportError: libgfortran.so.5")
    }
    memory = add_running(world.memory(), failed, 5.0)
    assert memory == world.memory()
    assert not is_remembered(memory, "numpy", 5.0)


@pytest.mark.parametrize("text", ["{", "[]", '{"format": 1}', "\0" * 10])
def test_a_damaged_cache_is_an_empty_one(world: World, text: str) -> None:
    remember(world.interpreter, world.cache, world.memory())
    (file,) = world.cache.glob("*/*.json")
    file.write_text(text)
    assert world.recall() is None
    remember(world.interpreter, world.cache, world.memory())
    assert world.recall() is not None


def test_one_of_another_format_is_not_believed(world: World) -> None:
    memory = msgspec.structs.replace(world.memory(), format=1)
    remember(world.interpreter, world.cache, memory)
    assert world.recall() is None


def test_a_cache_that_cannot_be_written_costs_only_time(world: World) -> None:
    world.cache.write_text("a file where the folder should be")
    remember(world.interpreter, world.cache, world.memory())
    assert world.recall() is None


def test_writers_at_once_lose_nothing_of_each_other(world: World) -> None:
    """Each interpreter has a file of its own, and a reader finds a whole one or none."""
    asked = [
        msgspec.structs.replace(world.interpreter, set={"NUMBER": str(number)})
        for number in range(8)
    ]
    together = threading.Barrier(len(asked))
    memory = world.memory()
    seen: list[Memory | None] = []

    def write(interpreter: Interpreter) -> None:
        together.wait(30)
        for _ in range(20):
            remember(interpreter, world.cache, memory)
            seen.append(world.recall(interpreter))

    threads = [threading.Thread(target=write, args=(each,)) for each in asked]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert seen == [memory] * 160
    assert all(world.recall(each) == memory for each in asked)
    assert not list(world.cache.glob("*/.draft-*"))
