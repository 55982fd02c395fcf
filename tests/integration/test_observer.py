"""Nothing that a process does to its files or its memory holds up who looks at it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from integration.file_server import FileServer, can_serve
from integration.soak import DELAYED

from deadlock_matrix.capture.observer import Observer
from deadlock_matrix.errors import CaptureError
from deadlock_matrix.model.fact import Known, Unknown

CC = shutil.which("cc")
ANSWER_WITHIN_S = 10.0
pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="needs procfs"),
    pytest.mark.timeout(90),
]
needs_cc = pytest.mark.skipif(CC is None, reason="needs a C compiler")
needs_fuse = pytest.mark.skipif(not can_serve(), reason="needs root and /dev/fuse")

Start = Callable[..., "subprocess.Popen[bytes]"]

SLEEPER = r"""
#include <stdio.h>
#include <unistd.h>
int main(void) { puts("ready"); fflush(stdout); pause(); return 0; }
"""

# A thread waits at a word of a mapped file, whose pages are then given back.
WAITS_IN_A_FILE = r"""
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>
static int *word;
static int id;
static void *wait_there(void *nothing) {
    id = syscall(SYS_gettid);
    syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, *word, 0, 0, 0);
    return nothing;
}
static int asleep(void) {
    char path[64];
    int call = -1;
    if (!id) return 0;
    sprintf(path, "/proc/self/task/%d/syscall", id);
    FILE *file = fopen(path, "r");
    fscanf(file, "%d", &call);
    fclose(file);
    return call == SYS_futex;
}
int main(int count, char **arguments) {
    int fd = open(arguments[1], O_RDONLY);
    word = mmap(0, 4096, PROT_READ, MAP_PRIVATE, fd, 0);
    pthread_t thread;
    pthread_create(&thread, 0, wait_there, 0);
    while (!asleep()) usleep(1000);
    madvise(word, 4096, MADV_DONTNEED);
    posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    puts("ready"); fflush(stdout);
    pause();
    return 0;
}
"""


@pytest.fixture
def observer() -> Iterator[Observer]:
    observer = Observer()
    yield observer
    observer.close()


@pytest.fixture
def start() -> Iterator[Start]:
    started = []

    def run(*command: str) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(command, stdout=subprocess.PIPE)
        started.append(process)
        assert process.stdout is not None
        first = process.stdout.readline()
        assert first == b"ready\n"
        return process

    yield run
    for process in started:
        process.kill()
        process.communicate()


def build(folder: Path, source: str) -> Path:
    assert CC is not None
    (folder / "program.c").write_text(source)
    subprocess.run([CC, "-pthread", "-o", folder / "built", folder / "program.c"], check=True)
    return folder / "built"


def python_sleeper() -> tuple[str, ...]:
    code = "import signal; print('ready', flush=True); signal.pause()"
    return sys.executable, "-c", code


def test_it_sees_what_a_collector_in_this_process_sees(start: Start, observer: Observer) -> None:
    process = start(*python_sleeper())
    observer.check(process.pid)
    assert observer.machine(process.pid).pointer_bits == 64
    (facts,) = observer.snapshot([process.pid]).processes
    assert facts.pid == process.pid and isinstance(facts.python, Known)
    (stacks,) = observer.python_stacks([process.pid])
    assert isinstance(stacks.stacks, Known)


def test_a_refusal_is_handed_on(observer: Observer) -> None:
    with pytest.raises(CaptureError, match="there is no process"):
        observer.check(2**22 + 1)


def test_an_observer_that_gets_stuck_is_replaced(start: Start, observer: Observer) -> None:
    process = start(*python_sleeper())
    observer.check(process.pid)
    helper = observer._worker._process
    assert helper is not None
    os.kill(helper.pid, signal.SIGSTOP)  # as stuck as can be
    assert observer.snapshot([process.pid]).root == process.pid
    assert helper.returncode == -signal.SIGKILL


def test_nothing_is_answered_when_the_time_is_up(start: Start, observer: Observer) -> None:
    process = start(*python_sleeper())
    observer.hurry(time.monotonic() - 1)
    with pytest.raises(CaptureError, match="no time left"):
        observer.snapshot([process.pid])
    for read in (observer.python_stacks, observer.native_stacks):
        (stacks,) = read([process.pid])
        assert isinstance(stacks.stacks, Unknown)


@needs_cc
@needs_fuse
def test_memory_on_a_dead_file_server(start: Start, observer: Observer, tmp_path: Path) -> None:
    program = build(tmp_path, WAITS_IN_A_FILE)
    folder = tmp_path / "served"
    folder.mkdir()
    with FileServer(folder, b"word" * 1024) as server:
        process = start(str(program), str(server.program))
        server.die()
        began = time.monotonic()
        (facts,) = observer.snapshot([process.pid]).processes
        assert time.monotonic() - began < ANSWER_WITHIN_S
        word = facts.threads[1].word
        assert isinstance(word, Unknown) and "took too long" in word.reason


@needs_cc
@needs_fuse
def test_an_executable_on_a_dead_file_server(
    start: Start, observer: Observer, tmp_path: Path
) -> None:
    content = build(tmp_path, SLEEPER).read_bytes()
    folder = tmp_path / "served"
    folder.mkdir()
    with FileServer(folder, content) as server:
        process = start(str(server.program))
        server.die()
        began = time.monotonic()
        observer.hurry(began + ANSWER_WITHIN_S)
        observer.check(process.pid)
        observer.machine(process.pid)
        (facts,) = observer.snapshot([process.pid]).processes
        (stacks,) = observer.python_stacks([process.pid])
        assert time.monotonic() - began < ANSWER_WITHIN_S
        assert facts.threads[0].state == "S"
        assert isinstance(stacks.stacks, Unknown)


def test_a_parent_that_is_not_read_in_time_may_act(start: Start, observer: Observer) -> None:
    code = "import signal; print('ready', flush=True); signal.pause()"
    process = start(sys.executable, "-c", code)
    observer.hurry(time.monotonic())
    (parent,) = observer.parents(process.pid)
    assert (parent.pid, parent.acts) == (os.getpid(), "could not be read in time")
    assert parent.timers  # else nothing would be assumed of it
    observer.hurry(None)
    (parent,) = observer.parents(process.pid)[:1]
    assert parent.pid == os.getpid() and parent.acts != "could not be read in time"


def test_the_observer_of_the_soaks_reads_what_this_one_reads(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise a soak with delays would not delay anything."""
    monkeypatch.setattr("deadlock_matrix.capture.observer.SCRIPT", DELAYED)
    process = start(
        sys.executable, "-c", "print('ready', flush=True)\nimport signal; signal.pause()"
    )
    delayed = Observer()
    try:
        (seen,) = delayed.snapshot([process.pid]).processes
        helper = delayed._worker._process
        assert helper is not None and str(DELAYED) in helper.args
    finally:
        delayed.close()
    assert seen.pid == process.pid and isinstance(seen.python, Known)
