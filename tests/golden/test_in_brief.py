"""One line about recorded hangs: who waits for what, without addresses and numbers of threads."""

from __future__ import annotations

import re

import pytest
from golden.recordings import read, recorded

from deadlock_matrix.app.inspection import of_process
from deadlock_matrix.proof.judge import judge
from deadlock_matrix.render.in_brief import in_brief

LINES = {
    "crossed-mutexes": "main thread waits for a mutex of liblocks.so (crossed_mutexes.py:4), held "
    "by thread N, which waits for a mutex of liblocks.so, held by main thread",
    "mutex-relock": "main thread waits for a mutex of librelock.so (mutex_relock.py:9), which it "
    "holds itself",
    "constructor-dlopen-join": "main thread joins thread N (constructor_dlopen_join.py:7), which "
    "waits for a recursive mutex of ld-linux-x86-64.so.2, the loader's own lock, held by main "
    "thread",
    "asyncio-locks-crossed": "task 'Task-2' waits for Lock other (locks_crossed.py:18), held by "
    "task 'Task-3'; task 'Task-3' waits for Lock other (locks_crossed.py:18), held by task "
    "'Task-2'",
    "thread-imports-same-package": "main thread joins thread N (__init__.py:14), which waits for "
    "the import lock of module 'same_package' (__init__.py:8), held by main thread",
    "full-pipes-crossed": "main thread waits to write to pipe:[N] (full_pipes_crossed.py:12), "
    "whose read end process N has; main thread of process N waits to write to pipe:[N] "
    "(full_pipes_crossed.py:12), whose read end process N has",
    "healthy-lock-held-by-sleeper": "main thread waits (lock_held_by_sleeper.py:16)",
}


def brief(identifier: str) -> str:
    evidence = read(identifier).evidence
    return in_brief(of_process(evidence.after.root, judge(evidence), evidence))


@pytest.mark.parametrize("name", LINES)
def test_who_waits_for_what(name: str) -> None:
    first = next(each for each in recorded() if each.endswith(f"/{name}"))
    line = re.sub(r"(thread |process |pipe:\[)\d+", r"\1N", brief(first))
    assert line == LINES[name]


@pytest.mark.parametrize("identifier", recorded())
def test_no_addresses(identifier: str) -> None:
    line = brief(identifier)
    assert line and "\n" not in line and "0x" not in line
