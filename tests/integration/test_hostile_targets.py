"""A hundred hostile targets in a row: each is answered in time, and nothing is left behind."""

from __future__ import annotations

import os
import random
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

CC = shutil.which("cc")
pytestmark = [
    pytest.mark.skipif(sys.platform != "linux" or CC is None, reason="needs Linux, a C compiler"),
    pytest.mark.timeout(3600),
]
ANSWER_WITHIN_S = 10.0
TOKEN = "DEADLOCK_MATRIX_TOKEN"

SLEEPER = r"""
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static void *wait_for_it(void *nothing) { pthread_mutex_lock(&lock); return nothing; }
int main(int count, char **arguments) {
    pthread_t thread;
    pthread_mutex_lock(&lock);
    pthread_create(&thread, 0, wait_for_it, 0);
    puts("ready"); fflush(stdout);
    if (count > 1) pthread_exit(0);
    pthread_join(thread, 0);
    return 0;
}
"""
NAMES = """
import ctypes, threading
libc = ctypes.CDLL(None)
named = "\\x1b[2J\\n) S 1 (\\u202e\\x9b31m"
lock = threading.Lock(); lock.acquire()
code = "def f(lock):\\n self = name = 'hunter2'\\n lock.acquire()"
exec(compile(code, f"/x/{named}/threading.py", "exec"))
def run(): libc.prctl(15, b"\\x1b[31m\\n)\\xff"); f(lock)
threading.Thread(target=run, daemon=True, name=named).start()
libc.prctl(15, b"\\x1b]0;x\\x07) S 1")
print("ready", flush=True)
lock.acquire()
"""
PARENT_STOPPED = """
import os, signal, time
parent = os.getpid()
if not os.fork():
    os.kill(parent, signal.SIGSTOP)
    while ") T " not in open(f"/proc/{parent}/stat").read(): pass
    print("ready", flush=True)
time.sleep(600)
"""
THREADS = """
import threading
threading.stack_size(65536)
event = threading.Event()
for _ in range(300): threading.Thread(target=event.wait, daemon=True).start()
print("ready", flush=True)
event.wait()
"""

Target = Callable[[Path, random.Random], tuple[str, ...]]


def program(folder: Path) -> Path:
    built = folder / "program"
    if not built.exists():
        (folder / "program.c").write_text(SLEEPER)
        assert CC is not None
        subprocess.run([CC, "-g", "-pthread", "-o", built, folder / "program.c"], check=True)
    return built


def plain(folder: Path, _: random.Random) -> tuple[str, ...]:
    return (str(program(folder)),)


def without_a_main_thread(folder: Path, _: random.Random) -> tuple[str, ...]:
    return str(program(folder)), "leave"


def changed_file(folder: Path, chance: random.Random) -> tuple[str, ...]:
    """An executable whose sections, symbols and notes are nonsense; the kernel does not care."""
    data = bytearray(program(folder).read_bytes())
    (sections,) = struct.unpack_from("<Q", data, 40)
    for _ in range(chance.choice([1, 10, 100, 1000])):
        at = chance.randrange(sections, len(data))
        data[at] = chance.randrange(256)
    if chance.random() < 0.5:
        struct.pack_into("<H", data, 60, chance.randrange(1 << 16))  # how many sections there are
    if chance.random() < 0.3:
        struct.pack_into("<Q", data, 40, chance.randrange(1 << 40))  # where they begin
    return _written(folder, bytes(data))


def endless_sections(folder: Path, _: random.Random) -> tuple[str, ...]:
    data = bytearray(program(folder).read_bytes())
    at, count = struct.unpack_from("<Q", data, 40)[0], struct.unpack_from("<H", data, 60)[0]
    table = bytearray(data[at : at + 64 * count])
    struct.pack_into("<Q", table, 32, 1 << 33)  # of the first: how many there are
    struct.pack_into("<Q", data, 40, len(data))
    struct.pack_into("<H", data, 60, 0)
    command = _written(folder, bytes(data + table))
    os.truncate(command[0], 1 << 40)  # a hole
    return command


def _written(folder: Path, data: bytes) -> tuple[str, ...]:
    descriptor, name = tempfile.mkstemp(dir=folder)
    os.close(descriptor)  # the kernel runs no file that is open for writing
    file = Path(name)
    file.write_bytes(data)
    file.chmod(0o755)
    return (str(file),)


def library_replaced_by_a_pipe(folder: Path, chance: random.Random) -> tuple[str, ...]:
    """It runs on a C library that was deleted, and under the name the kernel shows lies a pipe."""
    own = Path(tempfile.mkdtemp(dir=folder))
    libc = next(
        line.split()[-1]
        for line in Path("/proc/self/maps").read_text().splitlines()
        if line.endswith("/libc.so.6")
    )
    shutil.copy(libc, own)
    replaced = f"{own}/libc.so.6 (deleted)"
    trap = {"pipe": f"mkfifo '{replaced}'", "device": f"ln -s /dev/zero '{replaced}'"}
    wrong = trap[chance.choice(sorted(trap))]
    script = (
        f"LD_LIBRARY_PATH={own} {program(folder)} | (read line; rm {own}/libc.so.6; {wrong}; "
        "echo $line; exec sleep 600)"
    )
    return "sh", "-c", script


def python(code: str) -> Target:
    return lambda folder, chance: (sys.executable, "-c", code)


TARGETS: dict[str, Target] = {
    "plain": plain,
    "without-a-main-thread": without_a_main_thread,
    "changed-file": changed_file,
    "endless-sections": endless_sections,
    "library-replaced": library_replaced_by_a_pipe,
    "names": python(NAMES),
    "parent-stopped": python(PARENT_STOPPED),
    "threads": python(THREADS),
}
HOW = {
    "inspect": ("", "inspect"),
    "json": ("", "inspect --json"),
    "few-descriptors": ("ulimit -n 8; ", "inspect"),
    "little-memory": ("ulimit -v 400000; ", "inspect"),
}


@pytest.fixture
def started() -> Iterator[list[subprocess.Popen[bytes]]]:
    processes: list[subprocess.Popen[bytes]] = []
    yield processes
    for process in processes:
        end(process)


def start(command: tuple[str, ...]) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True)
    assert process.stdout is not None and process.stdout.readline() == b"ready\n"
    return process


def end(process: subprocess.Popen[bytes]) -> None:
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        process.kill()
    process.communicate()


@pytest.mark.parametrize("number", [8, pytest.param(100, marks=pytest.mark.soak)])
def test_targets_in_a_row(
    started: list[subprocess.Popen[bytes]], tmp_path: Path, number: int
) -> None:
    programs, folder = tmp_path / "programs", tmp_path / "temporary"
    programs.mkdir()
    folder.mkdir()
    token = f"token-{tmp_path.name}-{os.getpid()}"
    seed = random.randrange(1 << 32)
    chance = random.Random(seed)
    kinds, ways = sorted(TARGETS), sorted(HOW)
    for at in range(number):
        kind = kinds[at % len(kinds)]
        limit, command = HOW[ways[(at + at // len(kinds)) % len(ways)]]
        started.append(start(TARGETS[kind](programs, chance)))
        problem = look_at(started[-1].pid, limit, command, folder, token)
        assert not problem, f"{kind}, {limit}{command}, seed {seed}: {problem}"
        end(started.pop())


def look_at(pid: int, limit: str, command: str, folder: Path, token: str) -> str:
    """Inspect it; what is wrong with the answer, with what is left, or with the target."""
    before = settled_states(pid)
    script = f'{limit}exec "$0" -m deadlock_matrix {command} "$1"'
    began = time.monotonic()
    try:
        done = subprocess.run(
            ["sh", "-c", script, sys.executable, str(pid)],
            env={**os.environ, "TMPDIR": str(folder), TOKEN: token},
            capture_output=True,
            timeout=6 * ANSWER_WITHIN_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return "no answer"
    took = time.monotonic() - began
    if took > ANSWER_WITHIN_S * slowness():
        return f"the answer took {took:.1f} s"
    if b"Traceback" in done.stderr + done.stdout:
        return done.stderr[-2000:].decode(errors="replace")
    if any(byte < 32 and byte not in b"\n" for byte in done.stdout + done.stderr):
        return "it printed a character that a terminal obeys"
    if states(pid) != before:
        return f"the target was in the states {before}, and is in {states(pid)}"
    left = [*map(str, folder.iterdir()), *who_has(token)]
    return f"left behind: {left}" if left else ""


def slowness() -> float:
    """How much slower a machine is on which others run."""
    return max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))


def settled_states(pid: int) -> list[str]:
    """Of all threads, once none of them is on its way into a wait or out of the process."""
    before, now = [], states(pid)
    while now != before:
        time.sleep(0.05)
        before, now = now, states(pid)
    return now


def states(pid: int) -> list[str]:
    """Of all threads; whether one that waits is in D or S for a moment does not matter."""
    found = []
    for task in sorted(Path(f"/proc/{pid}/task").iterdir()):
        text = (task / "stat").read_text(errors="replace")
        found.append(text[text.rindex(")") + 2].replace("R", "S").replace("D", "S"))
    return found


def who_has(token: str) -> list[str]:
    """Processes with this variable; they have a moment to end."""
    deadline = time.monotonic() + 2.0
    while True:
        found = []
        for environ in Path("/proc").glob("[0-9]*/environ"):
            with suppress(OSError):
                if f"{TOKEN}={token}".encode() in environ.read_bytes():
                    found.append(environ.parent.name)
        if not found or time.monotonic() > deadline:
            return found
        time.sleep(0.02)
