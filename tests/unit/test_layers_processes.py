"""The guard over this folder: every way to start a process makes a unit test fail."""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import os
import pty
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

NOTHING = ["/bin/true"]
WAYS: dict[str, Callable[[], object]] = {
    "Popen": lambda: subprocess.Popen(NOTHING),
    "run": lambda: subprocess.run(NOTHING, check=True),
    "system": lambda: os.system("true"),
    "popen": lambda: os.popen("true"),
    "fork": lambda: os.fork() or os._exit(0),
    "forkpty": lambda: os.forkpty()[0] or os._exit(0),
    "posix_spawn": lambda: os.posix_spawn(NOTHING[0], NOTHING, {}),
    "spawn": lambda: os.spawnv(os.P_WAIT, NOTHING[0], NOTHING),
    "exec": lambda: os.execv(NOTHING[0], NOTHING),
    "pty": lambda: pty.spawn(NOTHING),
    "asyncio": lambda: asyncio.run(asyncio.create_subprocess_exec(*NOTHING)),  # type: ignore[arg-type]
    "spawned": lambda: multiprocessing.get_context("spawn").Process(target=print).start(),
    "forked": lambda: multiprocessing.get_context("fork").Process(target=print).start(),
}


@pytest.mark.parametrize("way", WAYS)
def test_every_way_is_refused_and_remembered(way: str, guard: Any) -> None:
    with pytest.raises(guard.error, match="starts no process"):
        WAYS[way]()
    assert guard.tried
    guard.tried.clear()


@pytest.mark.xfail(strict=True, reason="it starts a process")
def test_a_test_that_starts_a_process_fails() -> None:
    subprocess.run(NOTHING, check=True)


@pytest.mark.xfail(strict=True, reason="it starts a process")
def test_also_if_it_hides_the_error_or_leaves_it_to_a_thread() -> None:
    def start() -> None:
        with contextlib.suppress(Exception):
            subprocess.run(NOTHING, check=True)

    thread = threading.Thread(target=start)
    thread.start()
    thread.join()


def test_everything_else_is_allowed() -> None:
    thread = threading.Thread(target=os.getpid)
    thread.start()
    thread.join()
    assert Path(__file__).exists()
