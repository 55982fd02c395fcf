"""Thread facts of real programs: each prints a line when it is where the test wants it."""

from __future__ import annotations

import os
import platform
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from deadlock_matrix.capture.linux import LinuxCollector
from deadlock_matrix.capture.memory import Memory
from deadlock_matrix.capture.proc_files import numbers_in, open_directory
from deadlock_matrix.capture.procfs import read_thread
from deadlock_matrix.model.fact import Known, Unknown, unknown
from deadlock_matrix.model.process_facts import ProcessFacts, Snapshot
from deadlock_matrix.model.thread_facts import (
    NoTimeout,
    OnCpu,
    SystemCall,
    ThreadFacts,
    TimeLimit,
    Word,
)

CC = shutil.which("cc")
pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="needs procfs"),
    pytest.mark.timeout(600),
]
needs_cc = pytest.mark.skipif(CC is None, reason="needs a C compiler")

Start = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts a program, waits for its first line, and ends it after the test."""
    started: list[subprocess.Popen[bytes]] = []

    def run(*command: str) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, start_new_session=True
        )
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        return process

    yield run
    for process in started:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


@pytest.fixture
def compiled(tmp_path: Path) -> Callable[..., str]:
    def build(source: str, *flags: str) -> str:
        code = tmp_path / "program.c"
        code.write_text(source)
        program = tmp_path / "program"
        assert CC is not None
        command = [CC, "-O1", "-pthread", "-o", str(program), str(code), *flags]
        subprocess.run(command, check=True, timeout=300)
        return str(program)

    return build


@pytest.fixture
def collector() -> Iterator[LinuxCollector]:
    with LinuxCollector() as opened:
        yield opened


def until(condition: Callable[[], bool]) -> None:
    """A printed line comes shortly before the wait it announces."""
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.002)


def call_of(thread: ThreadFacts) -> str:
    activity = thread.activity
    if isinstance(activity, Known) and isinstance(activity.value, SystemCall):
        return activity.value.name
    return ""


def settled(collector: LinuxCollector, pid: int, *calls: str) -> ProcessFacts:
    """The process, once its threads sleep in these calls."""
    last: list[Snapshot] = []

    def there() -> bool:
        last[:] = [collector.snapshot([pid])]
        threads = last[0].processes[0].threads
        names = tuple(call_of(thread) for thread in threads)
        return names == calls and all(thread.state == "S" for thread in threads)

    until(there)
    return last[0].processes[0]


MUTEX = r"""
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static void *second(void *nothing) { pthread_mutex_lock(&lock); return nothing; }
int main(void) {
    pthread_t thread;
    pthread_mutex_lock(&lock);
    pthread_create(&thread, 0, second, 0);
    puts("ready"); fflush(stdout);
    pthread_join(thread, 0);
}
"""


@needs_cc
def test_mutex_and_join(
    start: Start, compiled: Callable[..., str], collector: LinuxCollector
) -> None:
    process = start(compiled(MUTEX))
    facts = settled(collector, process.pid, "futex", "futex")
    main, second = facts.threads
    assert (main.tid, main.own_tid) == (process.pid, process.pid)
    assert facts.threads_after == (main.tid, second.tid)
    for thread in facts.threads:
        assert isinstance(thread.timeout, Known) and thread.timeout.value == NoTimeout()
        assert isinstance(thread.code, Known)
        assert thread.code.value.is_libc and not thread.code.value.in_syscall_wrapper

    def at(thread: ThreadFacts, offset: int) -> int:
        assert isinstance(thread.word, Known)
        word = thread.word.value
        begin = word.address - word.around_start + offset
        return int.from_bytes(bytes.fromhex(word.around)[begin : begin + 4], "little")

    assert at(main, 0) == second.tid  # a join waits on the joined thread's id
    assert at(second, 0) == 2  # a mutex with waiters, its owner eight bytes on
    assert at(second, 8) == main.tid
    assert isinstance(second.word, Known)
    assert second.word.value.mapping.permissions == "rw-p"
    assert second.word.value.mapping.path.endswith("/program")


SYSCALL = r"""
#include <linux/futex.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>
static int word = 7;
int main(void) {
    puts("ready"); fflush(stdout);
    syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 7, 0, 0, 0);
}
"""


@needs_cc
def test_the_syscall_function_is_told_from_libc(
    start: Start, compiled: Callable[..., str], collector: LinuxCollector
) -> None:
    process = start(compiled(SYSCALL))
    (thread,) = settled(collector, process.pid, "futex").threads
    assert isinstance(thread.code, Known)
    assert thread.code.value.is_libc and thread.code.value.in_syscall_wrapper


@needs_cc
def test_a_static_program_has_no_libc(
    start: Start, compiled: Callable[..., str], collector: LinuxCollector
) -> None:
    process = start(compiled(MUTEX, "-static"))
    main, _ = settled(collector, process.pid, "futex", "futex").threads
    assert isinstance(main.code, Known) and not main.code.value.is_libc
    assert collector.machine(process.pid).libc.startswith("unknown")


def python(code: str, *arguments: str) -> tuple[str, ...]:
    say = "def ready(): print('ready', flush=True)\n"
    return (sys.executable, "-c", say + code, *arguments)


TIMED = "import time; ready(); time.sleep(1000)"
POLLED = "import os, select; r, w = os.pipe(); p = select.poll(); p.register(r, 1); ready(); {}"


def test_sleep_has_a_limit(start: Start, collector: LinuxCollector) -> None:
    process = start(*python(TIMED))
    facts = settled(collector, process.pid, "clock_nanosleep")
    timeout = facts.threads[0].timeout
    assert isinstance(timeout, Known) and isinstance(timeout.value, TimeLimit)
    assert isinstance(timeout.value.due_s, Known)
    assert 900 < timeout.value.due_s.value <= 1000


@pytest.mark.parametrize(
    ("wait", "calls"),
    [
        ("p.poll()", {"poll", "ppoll"}),
        ("select.select([r], [], [])", {"select", "pselect6"}),
        (
            "e = select.epoll(); e.register(r, 1); e.poll()",
            {"epoll_wait", "epoll_pwait", "epoll_pwait2"},
        ),
    ],
)
def test_polls_tell_their_descriptors(
    start: Start, collector: LinuxCollector, wait: str, calls: set[str]
) -> None:
    process = start(*python(POLLED.format(wait)))

    def snapshot() -> ThreadFacts:
        return collector.snapshot([process.pid]).processes[0].threads[0]

    until(lambda: call_of(snapshot()) in calls)
    facts = collector.snapshot([process.pid]).processes[0]
    (thread,) = facts.threads
    assert isinstance(thread.polled, Known)
    (polled,) = thread.polled.value
    assert polled.events & 1
    assert isinstance(facts.descriptors, Known)
    target = {d.number: d.target for d in facts.descriptors.value}[polled.descriptor]
    assert target.startswith("pipe:[")
    assert isinstance(thread.timeout, Known) and thread.timeout.value == NoTimeout()


def test_a_spinning_thread_is_on_a_processor(start: Start, collector: LinuxCollector) -> None:
    process = start(*python("ready()\nwhile True: pass"))

    def running() -> bool:
        thread = collector.snapshot([process.pid]).processes[0].threads[0]
        return isinstance(thread.activity, Known) and thread.activity.value == OnCpu()

    until(running)


@needs_cc
def test_names_and_a_leader_that_has_left(
    start: Start, compiled: Callable[..., str], collector: LinuxCollector
) -> None:
    source = r"""
    #define _GNU_SOURCE
    #include <pthread.h>
    #include <stdio.h>
    #include <unistd.h>
    static void *second(void *nothing) {
        pthread_setname_np(pthread_self(), ") S (\n\xff");
        puts("ready"); fflush(stdout);
        pause();
        return nothing;
    }
    int main(void) {
        pthread_t thread;
        pthread_create(&thread, 0, second, 0);
        pthread_exit(0);
    }
    """
    process = start(compiled(source))

    def leader_left() -> bool:
        return collector.snapshot([process.pid]).processes[0].threads[0].state == "Z"

    until(leader_left)
    until(lambda: call_of(collector.snapshot([process.pid]).processes[0].threads[1]) == "pause")
    snapshot = collector.snapshot([process.pid])
    leader, second = snapshot.processes[0].threads
    assert (leader.state, second.state) == ("Z", "S")
    assert second.name == ") S (\n\\xff"
    assert msgspec.json.decode(msgspec.json.encode(snapshot), type=Snapshot) == snapshot


@needs_cc
def test_a_leader_that_has_left_has_no_memory_and_its_threads_have(
    start: Start, compiled: Callable[..., str], collector: LinuxCollector
) -> None:
    source = r"""
    #include <pthread.h>
    #include <stdio.h>
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    static void *second(void *nothing) {
        puts("ready"); fflush(stdout);
        pthread_mutex_lock(&lock);
        return nothing;
    }
    int main(void) {
        pthread_t thread;
        pthread_mutex_lock(&lock);
        pthread_create(&thread, 0, second, 0);
        pthread_exit(0);
    }
    """
    process = start(compiled(source))

    def word() -> Known[Word] | Unknown:
        leader, *others = collector.snapshot([process.pid]).processes[0].threads
        return others[0].word if leader.state == "Z" and others else unknown("not yet")

    until(lambda: isinstance(word(), Known))
    read = word()
    assert isinstance(read, Known) and read.value.mapping.permissions == "rw-p"
    assert collector.machine(process.pid).libc.startswith(("glibc", "musl"))


@needs_cc
def test_two_equal_readings_mean_an_unbroken_sleep(
    start: Start, compiled: Callable[..., str]
) -> None:
    """The guarantee of `read_thread`, tried on a thread that never sleeps for long."""
    source = r"""
    #include <pthread.h>
    #include <stdio.h>
    #include <time.h>
    #include <unistd.h>
    static volatile unsigned long counter;
    static void *second(void *nothing) {
        for (;;) {
            counter++;
            struct timespec little = {0, 1 + counter * 7919 % 200000};
            nanosleep(&little, 0);
        }
    }
    int main(void) {
        pthread_t thread;
        pthread_create(&thread, 0, second, 0);
        printf("ready\n%p\n", (void *)&counter); fflush(stdout);
        pause();
    }
    """
    process = start(compiled(source))
    assert process.stdout is not None
    counter = int(process.stdout.readline(), 16)
    directory = open_directory(f"/proc/{process.pid}")
    tasks = open_directory("task", directory)
    tid = max(numbers_in(tasks))
    agreed = 0
    try:
        with Memory(process.pid, directory) as memory:
            deadline = time.monotonic() + 4
            while time.monotonic() < deadline:
                first, _ = read_thread(process.pid, tid, tasks, platform.machine(), None)
                before = memory.number(counter)
                between = memory.number(counter)
                second, _ = read_thread(process.pid, tid, tasks, platform.machine(), None)
                same = (first.switches, first.activity) == (second.switches, second.activity)
                if same and first.state == second.state == "S":
                    agreed += 1
                    assert before == between
    finally:
        os.close(tasks)
        os.close(directory)
    assert agreed > 0


def test_process_facts(start: Start, collector: LinuxCollector, tmp_path: Path) -> None:
    code = """
import os, signal, sys
os.mkfifo(sys.argv[1])
signal.signal(signal.SIGUSR1, lambda *a: None)
signal.signal(signal.SIGUSR2, signal.SIG_IGN)
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
os.kill(os.getpid(), signal.SIGTERM)
os.open(sys.argv[1], os.O_RDWR)
os.open(sys.argv[1], os.O_RDONLY)
r, w = os.pipe()
ready()
os.read(r, 1)
"""
    process = start(*python(code, str(tmp_path / "fifo")))
    facts = settled(collector, process.pid, "read")
    assert facts.parent == os.getpid()
    assert isinstance(facts.signals, Known)
    assert facts.signals.value.caught >> (signal.SIGUSR1 - 1) & 1
    assert facts.signals.value.ignored >> (signal.SIGUSR2 - 1) & 1
    assert facts.signals.value.pending == facts.threads[0].blocked_signals == 1 << 14
    assert facts.tracer == Known(value=0, source=facts.tracer.source)  # type: ignore[union-attr]
    assert isinstance(facts.shares_memory_with, Known | Unknown)
    assert isinstance(facts.descriptors, Known)
    fifos = [d for d in facts.descriptors.value if d.target.startswith("fifo:[")]
    assert [d.access for d in fifos] == ["rw", "r"]
    assert fifos[0].target == fifos[1].target
    pipe = [d for d in facts.descriptors.value if d.target.startswith("pipe:[")][-2:]
    assert [d.access for d in pipe] == ["r", "w"]
    assert isinstance(facts.libraries, Known)
    assert any("libc" in library.path for library in facts.libraries.value)


@needs_cc
def test_posix_timers_and_shared_memory(
    start: Start, compiled: Callable[..., str], collector: LinuxCollector
) -> None:
    source = r"""
    #define _GNU_SOURCE
    #include <sched.h>
    #include <signal.h>
    #include <stdio.h>
    #include <time.h>
    #include <unistd.h>
    static char stack[65536];
    static int child(void *nothing) { pause(); return 0; }
    int main(void) {
        timer_t timer;
        timer_create(CLOCK_MONOTONIC, 0, &timer);
        clone(child, stack + sizeof stack, CLONE_VM | SIGCHLD, 0);
        puts("ready"); fflush(stdout);
        pause();
    }
    """
    process = start(compiled(source, "-lrt"))
    until(lambda: len(collector.snapshot([process.pid]).processes) == 2)
    parent, child = collector.snapshot([process.pid]).processes
    assert isinstance(parent.timers, Known | Unknown)
    if isinstance(parent.timers, Known):  # the kernel may be built without that file
        (timer,) = parent.timers.value
        assert timer.startswith("ID: 0")
    if isinstance(parent.shares_memory_with, Known):
        assert parent.shares_memory_with.value == (child.pid,)
        assert isinstance(child.shares_memory_with, Known)
        assert child.shares_memory_with.value == (parent.pid,)


def test_a_traced_process_says_so(start: Start, collector: LinuxCollector) -> None:
    code = """
import ctypes, os
child = os.fork()
if child == 0:
    import signal
    signal.pause()
assert ctypes.CDLL(None).ptrace(16, child, 0, 0) == 0  # PTRACE_ATTACH
os.waitpid(child, 0)
ready()
os.read(os.pipe()[0], 1)
"""
    process = start(*python(code))
    tracer, traced = collector.snapshot([process.pid]).processes
    assert isinstance(traced.tracer, Known)
    assert traced.tracer.value == tracer.pid
    assert traced.threads[0].state == "t"
