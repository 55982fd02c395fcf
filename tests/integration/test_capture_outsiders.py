"""Who has a pipe or the memory in ways that a look at each process's leader does not show."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from deadlock_matrix.capture.linux import LinuxCollector
from deadlock_matrix.capture.proc_files import read_small
from deadlock_matrix.capture.proc_text import parse_stat
from deadlock_matrix.model.fact import Known, Unknown
from deadlock_matrix.model.process_facts import PipeHolder, ProcessFacts, Snapshot
from deadlock_matrix.model.thread_facts import SystemCall

CC = shutil.which("cc")
pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="needs procfs"),
    pytest.mark.timeout(600),
]
needs_cc = pytest.mark.skipif(CC is None, reason="needs a C compiler")

Start = Callable[..., "subprocess.Popen[bytes]"]

HEAD = r"""
#define _GNU_SOURCE
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
static int *shared(void) {
    return mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
}
static void brief(void) { struct timespec t = {0, 300000}; nanosleep(&t, 0); }
// For processes that make each other: faster ones would be a burden to whatever runs beside them.
static void a_while(void) { struct timespec t = {0, 3000000}; nanosleep(&t, 0); }
static char *stack(void) {
    return (char *)mmap(0, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
        + 65536 - 64;
}
"""


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Compiles and starts a program, waits for its first line, and ends it with all it made.

    They stay in its process group, in which they are found when their parents have ended.
    """
    started: list[subprocess.Popen[bytes]] = []

    def run(source: str, *arguments: str) -> subprocess.Popen[bytes]:
        assert CC is not None
        code, program = tmp_path / "program.c", tmp_path / "program"
        code.write_text(HEAD + source)
        command = [CC, "-O1", "-w", "-pthread", "-o", str(program), str(code)]
        subprocess.run(command, check=True, timeout=300)
        process = subprocess.Popen(
            [str(program), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        started.append(process)
        assert process.stdout is not None
        line = process.stdout.readline()
        if line == b"not here\n":
            pytest.skip("the kernel does not let us")
        assert line == b"ready\n"
        return process

    yield run
    for process in started:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


@pytest.fixture
def collector() -> Iterator[LinuxCollector]:
    with LinuxCollector() as opened:
        yield opened


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.002)


def number_from(process: subprocess.Popen[bytes]) -> int:
    assert process.stdout is not None
    return int(process.stdout.readline())


def is_zombie(pid: int) -> bool:
    return parse_stat(read_small(f"/proc/{pid}/stat")).state == "Z"


def asleep_in(collector: LinuxCollector, pid: int, call: str) -> Snapshot:
    """A snapshot once the last thread sleeps in that call."""
    last: list[Snapshot] = []

    def there() -> bool:
        last[:] = [collector.snapshot([pid])]
        thread = last[0].processes[0].threads[-1]
        doing = thread.activity.value if isinstance(thread.activity, Known) else None
        return isinstance(doing, SystemCall) and doing.name == call and thread.state == "S"

    until(there)
    return last[0]


def holders_once_known(collector: LinuxCollector, pid: int) -> tuple[PipeHolder, ...]:
    """Others may send descriptors or start processes just now: then it is not known.

    To an ordinary user, it never is on a machine where others keep starting processes.
    """
    deadline = time.monotonic() + 120
    while isinstance(holders := collector.snapshot([pid]).outside_holders, Unknown):
        if time.monotonic() >= deadline:
            unreadable = "not readable" in holders.reason and os.geteuid() != 0
            if unreadable or "kept coming" in holders.reason:
                pytest.skip(holders.reason)
            pytest.fail(holders.reason)
        time.sleep(0.002)
    return holders.value


def needs_kcmp(facts: ProcessFacts) -> None:
    shares = facts.shares_memory_with
    if isinstance(shares, Unknown) and shares.reason.startswith("kcmp:"):
        pytest.skip(shares.reason)


# --- pipes --------------------------------------------------------------------------------------

WITH_A_LEADER_GONE = r"""
static int *orphan, ends[2];
static void *work(void *nothing) { *orphan = getpid(); pause(); return 0; }
int main(void) {
    orphan = shared();
    pipe(ends);
    if (fork() == 0) {
        if (fork() == 0) {
            pthread_t thread;
            pthread_create(&thread, 0, work, 0);
            pthread_exit(0);
        }
        _exit(0);
    }
    wait(0);
    while (!*orphan) brief();
    close(ends[1]);
    printf("ready\n%d\n", *orphan); fflush(stdout);
    char byte;
    read(ends[0], &byte, 1);
}
"""

WITH_A_TABLE_OF_ITS_OWN = r"""
static int *orphan, ends[2];
static volatile int apart, closed;
static void *work(void *nothing) {
    unshare(CLONE_FILES);
    apart = 1;
    while (!closed) brief();
    *orphan = getpid();
    pause();
    return 0;
}
int main(void) {
    orphan = shared();
    pipe(ends);
    if (fork() == 0) {
        if (fork() == 0) {
            pthread_t thread;
            pthread_create(&thread, 0, work, 0);
            while (!apart) brief();
            close(ends[0]);
            close(ends[1]);
            closed = 1;
            pause();
        }
        _exit(0);
    }
    wait(0);
    while (!*orphan) brief();
    close(ends[1]);
    printf("ready\n%d\n", *orphan); fflush(stdout);
    char byte;
    read(ends[0], &byte, 1);
}
"""


@needs_cc
@pytest.mark.parametrize("source", [WITH_A_LEADER_GONE, WITH_A_TABLE_OF_ITS_OWN])
def test_an_end_of_a_pipe_that_the_leader_does_not_have(
    start: Start, collector: LinuxCollector, source: str
) -> None:
    process = start(source)
    orphan = number_from(process)
    if source is WITH_A_LEADER_GONE:
        until(lambda: is_zombie(orphan))
    asleep_in(collector, process.pid, "read")

    holders = holders_once_known(collector, process.pid)
    assert sorted((h.pid, h.access) for h in holders) == [(orphan, "r"), (orphan, "w")]


@needs_cc
def test_an_end_of_a_pipe_that_is_handed_on_all_the_time(
    start: Start, collector: LinuxCollector
) -> None:
    source = r"""
    int main(void) {
        int ends[2];
        int *hops = shared();
        pipe(ends);
        if (fork() == 0) {
            if (fork() == 0) {
                signal(SIGCHLD, SIG_IGN);
                close(ends[0]);
                for (; *hops < 20000; ++*hops) {
                    a_while();
                    if (fork()) _exit(0);
                }
            }
            _exit(0);
        }
        wait(0);
        close(ends[1]);
        while (*hops < 3) brief();
        puts("ready"); fflush(stdout);
        char byte;
        read(ends[0], &byte, 1);
    }
    """
    process = start(source)
    asleep_in(collector, process.pid, "read")
    for _ in range(5):
        holders = collector.snapshot([process.pid]).outside_holders
        if isinstance(holders, Known):  # then it was met
            assert any(holder.access == "w" for holder in holders.value)


# --- memory -------------------------------------------------------------------------------------


@needs_cc
def test_memory_shared_with_a_process_whose_leader_has_ended(
    start: Start, collector: LinuxCollector
) -> None:
    source = r"""
    static volatile int other;
    static int second(void *nothing) { for (;;) syscall(SYS_pause); }
    static int leader(void *nothing) {
        int flags = CLONE_VM | CLONE_THREAD | CLONE_SIGHAND | CLONE_FS | CLONE_FILES;
        clone(second, stack(), flags, 0);
        other = syscall(SYS_getpid);
        syscall(SYS_exit, 0);
    }
    static int between(void *nothing) {
        clone(leader, stack(), CLONE_VM, 0);
        syscall(SYS_exit_group, 0);
    }
    static int word;
    int main(void) {
        int pid = clone(between, stack(), CLONE_VM | SIGCHLD, 0);
        waitpid(pid, 0, 0);
        while (!other) brief();
        printf("ready\n%d\n", other); fflush(stdout);
        syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 0, 0, 0, 0);
    }
    """
    process = start(source.replace("SYS_pause", "SYS_ppoll, 0, 0, 0, 0, 0"))
    other = number_from(process)
    until(lambda: is_zombie(other))
    facts = asleep_in(collector, process.pid, "futex").processes[0]
    needs_kcmp(facts)
    assert facts.shares_memory_with == Known(value=(other,), source="kcmp")


@needs_cc
def test_memory_shared_with_processes_that_make_each_other(
    start: Start, collector: LinuxCollector, tmp_path: Path
) -> None:
    source = r"""
    #include <fcntl.h>
    enum { STACKS = 2048 };  // so many that nobody is still on one when its turn comes again
    static char *stacks[STACKS];
    static volatile int *hops;
    static int hop(void *nothing) {
        a_while();
        if (++*hops < 20000)
            while (clone(hop, stacks[*hops % STACKS], CLONE_VM, 0) < 0) brief();  // numbers run out
        syscall(SYS_exit_group, 0);
    }
    static int word;
    int main(int count, char **arguments) {
        int file = open(arguments[1], O_RDWR);
        hops = mmap(0, sizeof *hops, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
        for (int i = 0; i < STACKS; i++) stacks[i] = stack();
        int pid = clone(hop, stacks[0], CLONE_VM | SIGCHLD, 0);
        waitpid(pid, 0, 0);
        while (*hops < 3) brief();
        puts("ready"); fflush(stdout);
        syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 0, 0, 0, 0);
    }
    """
    counter = tmp_path / "hops"
    counter.write_bytes(bytes(4))
    process = start(source, str(counter))
    needs_kcmp(asleep_in(collector, process.pid, "futex").processes[0])
    for _ in range(5):
        shares = collector.snapshot([process.pid]).processes[0].shares_memory_with
        hops = counter.read_bytes()
        deadline = time.monotonic() + 120
        while counter.read_bytes() == hops:
            if time.monotonic() >= deadline:
                pytest.skip("the last of them ended without making another")
            time.sleep(0.002)
        assert isinstance(shares, Unknown) or shares.value


# --- the process itself -------------------------------------------------------------------------


@needs_cc
def test_threads_with_a_descriptor_table_of_their_own(
    start: Start, collector: LinuxCollector
) -> None:
    source = r"""
    static pthread_barrier_t barrier;
    static void *plain(void *nothing) { pthread_barrier_wait(&barrier); pause(); return 0; }
    static void *apart(void *nothing) {
        unshare(CLONE_FILES);
        printf("ready\n%d\n", (int)syscall(SYS_gettid)); fflush(stdout);
        pthread_barrier_wait(&barrier);
        pause();
        return 0;
    }
    int main(int count, char **arguments) {
        pthread_t thread;
        pthread_barrier_init(&barrier, 0, 3);
        pthread_create(&thread, 0, plain, 0);
        pthread_create(&thread, 0, apart, 0);
        pthread_barrier_wait(&barrier);
        if (count > 1) pthread_exit(0);
        pause();
    }
    """
    process = start(source)
    apart = number_from(process)
    facts = collector.snapshot([process.pid]).processes[0]
    needs_kcmp(facts)
    assert facts.own_descriptors == Known(value=(apart,), source="kcmp")
    process = start(source, "without-leader")
    apart = number_from(process)
    until(lambda: is_zombie(process.pid))
    facts = collector.snapshot([process.pid]).processes[0]
    assert isinstance(facts.descriptors, Known) and facts.descriptors.value
    assert isinstance(facts.libraries, Known) and facts.libraries.value
    assert facts.own_descriptors == Known(value=(apart,), source="kcmp")


def test_descriptors_on_their_way_in_unix_sockets(collector: LinuxCollector) -> None:
    source = """
import os, socket, sys
os.write(1, b"ready\\n")
def step():
    sys.stdin.readline()
one, other = socket.socketpair()
tcp = socket.socket()
step()
os.write(1, b"sockets\\n")
step()
socket.send_fds(one, [b"x"], [0, 1])
listener = socket.socket(socket.AF_UNIX)
listener.bind("\\0deadlock-matrix-%d" % os.getpid())
listener.listen()
client = socket.socket(socket.AF_UNIX)
client.connect(listener.getsockname())
socket.send_fds(client, [b"x"], [2])
os.write(1, b"sent\\n")
step()
"""
    command = [sys.executable, "-c", source]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None and process.stdout is not None

        def in_flight() -> Known[int] | Unknown:
            return collector.snapshot([process.pid]).processes[0].descriptors_in_flight

        def go_on() -> None:
            assert process.stdin is not None and process.stdout is not None
            process.stdin.write(b"\n")
            process.stdin.flush()
            process.stdout.readline()

        try:
            process.stdout.readline()
            go_on()
            none = in_flight()
            go_on()
            some = in_flight()
        finally:
            process.kill()
    if isinstance(none, Unknown):
        pytest.skip(none.reason)
    assert none.value == 0
    assert isinstance(some, Unknown) or some.value == 3


def test_no_unix_sockets_nothing_on_its_way(collector: LinuxCollector) -> None:
    with subprocess.Popen(["sleep", "1000"], stdin=subprocess.DEVNULL) as process:
        try:
            facts = collector.snapshot([process.pid]).processes[0]
        finally:
            process.kill()
    assert isinstance(facts.descriptors, Known)
    if not any(d.target.startswith("socket:") for d in facts.descriptors.value):
        assert isinstance(facts.descriptors_in_flight, Known)
        assert facts.descriptors_in_flight.value == 0


@needs_cc
def test_a_thread_in_a_call_that_does_not_sleep_in_it(
    start: Start, collector: LinuxCollector
) -> None:
    source = r"""
    #include <fcntl.h>
    #include <linux/userfaultfd.h>
    #include <sys/ioctl.h>
    int main(void) {
        int fault = syscall(SYS_userfaultfd, O_CLOEXEC);
        struct uffdio_api api = {.api = UFFD_API};
        if (fault < 0 || ioctl(fault, UFFDIO_API, &api)) { puts("not here"); return 0; }
        char *page = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        struct uffdio_register area = {
            .range = {(unsigned long)page, 4096}, .mode = UFFDIO_REGISTER_MODE_MISSING};
        if (ioctl(fault, UFFDIO_REGISTER, &area)) { puts("not here"); return 0; }
        int ends[2];
        pipe(ends);
        write(ends[1], "x", 1);
        puts("ready"); fflush(stdout);
        read(ends[0], page, 1);
    }
    """
    process = start(source)
    thread = asleep_in(collector, process.pid, "read").processes[0].threads[0]
    assert isinstance(thread.wait_channel, Known)
    assert thread.wait_channel.value == "handle_userfault"


@needs_cc
def test_thousands_of_threads_are_read_in_little_time(
    start: Start, collector: LinuxCollector
) -> None:
    source = r"""
    static void *work(void *nothing) { pause(); return 0; }
    int main(void) {
        pthread_t thread;
        pthread_attr_t small;
        pthread_attr_init(&small);
        pthread_attr_setstacksize(&small, 65536);
        for (int i = 0; i < 2000; i++)
            if (pthread_create(&thread, &small, work, 0)) { puts("not here"); return 0; }
        puts("ready"); fflush(stdout);
        pause();
    }
    """
    process = start(source)
    begun = time.process_time()
    facts = collector.snapshot([process.pid]).processes[0]
    assert time.process_time() - begun < 3  # 0.25 s on an idle machine
    assert len(facts.threads) == 2001
    assert isinstance(facts.threads[0].wait_channel, Known | Unknown)
