"""Trees of processes, pipes between them, permissions, glances, and files that have changed."""

from __future__ import annotations

import os
import platform
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import msgspec
import pytest

from deadlock_matrix.capture.collector import open_collector
from deadlock_matrix.capture.glance import Glancer, glance
from deadlock_matrix.capture.linux import LinuxCollector
from deadlock_matrix.capture.parents import parents_of
from deadlock_matrix.capture.permission import check_access
from deadlock_matrix.capture.portable import PortableCollector
from deadlock_matrix.errors import CaptureError
from deadlock_matrix.model.evidence import Evidence, Parent
from deadlock_matrix.model.fact import Known, Unknown
from deadlock_matrix.model.process_facts import PipeHolder, Snapshot
from deadlock_matrix.model.thread_facts import SystemCall

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="needs procfs"),
    pytest.mark.timeout(600),
]

Start = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture
def start() -> Iterator[Start]:
    started: list[subprocess.Popen[bytes]] = []

    def run(code: str, *arguments: str, **options: object) -> subprocess.Popen[bytes]:
        say = "import os\ndef ready(): os.write(1, b'ready\\n')\n"
        process: subprocess.Popen[bytes] = subprocess.Popen(  # type: ignore[call-overload]
            [sys.executable, "-c", say + code, *arguments],
            **{"stdin": subprocess.DEVNULL, **options},
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        return process

    yield run
    for process in started:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                stream.close()


@pytest.fixture
def collector() -> Iterator[LinuxCollector]:
    with LinuxCollector() as opened:
        yield opened


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.002)


def calls(snapshot: Snapshot) -> list[str]:
    found: list[str] = []
    for process in snapshot.processes:
        for thread in process.threads:
            call = thread.activity.value if isinstance(thread.activity, Known) else None
            found.append(call.name if isinstance(call, SystemCall) else "")
    return found


def settled(collector: LinuxCollector, roots: list[int], *expected: str) -> Snapshot:
    last: list[Snapshot] = []

    def there() -> bool:
        """Who holds the pipes is not known while others send descriptors or start processes."""
        last[:] = [collector.snapshot(roots)]
        known = isinstance(last[0].outside_holders, Known)
        return calls(last[0]) == list(expected) and known

    until(there)
    return last[0]


def test_a_tree_with_an_orphan(start: Start, collector: LinuxCollector) -> None:
    code = """
import signal
if os.fork() == 0:
    if os.fork() == 0:
        signal.pause()
    orphan = os.fork()
    if orphan == 0:
        signal.pause()
    signal.pause()
ready()
signal.pause()
"""
    process = start(code)
    until(lambda: len(collector.snapshot([process.pid]).processes) == 4)
    pids = [facts.pid for facts in collector.snapshot([process.pid]).processes]
    assert pids[0] == process.pid
    os.kill(pids[1], signal.SIGKILL)
    until(lambda: len(collector.snapshot([process.pid]).processes) == 2)  # one of them a zombie
    both = collector.snapshot([process.pid, pids[2], pids[3]]).processes
    assert {facts.pid for facts in both} == set(pids)
    (zombie,) = [facts for facts in both if facts.pid == pids[1]]
    assert zombie.threads[0].state == "Z"
    assert isinstance(zombie.shares_memory_with, Known) and not zombie.shares_memory_with.value


def test_a_process_that_has_ended(collector: LinuxCollector) -> None:
    with subprocess.Popen(["true"]) as process:
        pass
    with pytest.raises(CaptureError, match="has ended"):
        collector.snapshot([process.pid])


def test_a_pipe_from_a_process_to_itself_has_no_outside_holder(
    start: Start, collector: LinuxCollector
) -> None:
    process = start("r, w = os.pipe(); ready(); os.read(r, 1)")
    snapshot = settled(collector, [process.pid], "read")
    assert isinstance(snapshot.outside_holders, Known), snapshot.outside_holders
    assert snapshot.outside_holders.value == ()


def test_the_observer_s_own_end_of_a_pipe_is_found(start: Start, collector: LinuxCollector) -> None:
    inside, ours = os.pipe()
    try:
        process = start(f"ready(); os.read({inside}, 1)", pass_fds=[inside])
        snapshot = settled(collector, [process.pid], "read")
        assert isinstance(snapshot.outside_holders, Known), snapshot.outside_holders
        target = os.readlink(f"/proc/self/fd/{ours}")  # noqa: PTH115
        assert set(snapshot.outside_holders.value) == {
            PipeHolder(pid=os.getpid(), target=target, access="r"),
            PipeHolder(pid=os.getpid(), target=target, access="w"),
        }
    finally:
        os.close(inside)
        os.close(ours)


def test_a_fifo_is_one_thing_by_two_names(
    start: Start, collector: LinuxCollector, tmp_path: Path
) -> None:
    fifo, link = tmp_path / "fifo", tmp_path / "link"
    os.mkfifo(fifo)
    os.link(fifo, link)
    reader = start(
        "import sys, select\nr = os.open(sys.argv[1], os.O_RDONLY | os.O_NONBLOCK)\nready()\n"
        "select.select([r], [], [])",
        str(fifo),
    )
    writer = start(
        "import sys, time\nw = os.open(sys.argv[1], os.O_WRONLY)\nready()\ntime.sleep(1000)",
        str(link),
    )
    until(lambda: calls(collector.snapshot([reader.pid])) in (["select"], ["pselect6"]))
    snapshot = collector.snapshot([reader.pid])
    assert isinstance(snapshot.outside_holders, Known), snapshot.outside_holders
    holders = [h for h in snapshot.outside_holders.value if h.pid == writer.pid]
    assert [h.access for h in holders] == ["w"]
    assert holders[0].target.startswith("fifo:[")


def test_pipes_between_members_are_inside(start: Start, collector: LinuxCollector) -> None:
    code = """
r, w = os.pipe()
if os.fork() == 0:
    ready()
    os.read(r, 1)
os.wait()
"""
    process = start(code)
    snapshot = settled(collector, [process.pid], "wait4", "read")
    assert isinstance(snapshot.outside_holders, Known), snapshot.outside_holders
    assert snapshot.outside_holders.value == ()


PARENTS = {
    "handles SIGALRM, and may have set an alarm": "signal.signal(signal.SIGALRM, print)",
    "has a timer (a timerfd)": "import ctypes; assert ctypes.CDLL(None).timerfd_create(1, 0) > 0",
    "": "signal.signal(signal.SIGALRM, signal.SIG_DFL)",
}


@pytest.mark.parametrize("acts", PARENTS)
def test_a_parent_that_may_act(start: Start, acts: str) -> None:
    """It waits for its child without a time limit."""
    code = (
        "import signal\n"
        + PARENTS[acts]
        + """
child = os.fork()
if child: os.waitpid(child, 0)
ready()
signal.pause()
"""
    )
    parent = start(code).pid
    (child,) = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    until(lambda: "do_wait" in Path(f"/proc/{parent}/wchan").read_text())
    told = [each.acts for each in parents_of(int(child)) if each.pid == parent]
    assert told == [acts]


LIMITED = """
import subprocess, sys
child = subprocess.Popen(["sleep", "300"])
ready()
"""


@pytest.mark.parametrize(
    ("wait", "sends", "limits"),
    [
        ("child.wait(300)", "", True),
        ("child.communicate(timeout=300)", "", True),
        ("child.wait()", "", False),
        ("subprocess.Popen(['sleep', '300']).wait(300)", "", False),
    ],
)
def test_a_parent_that_gives_its_child_a_limited_time(
    start: Start, wait: str, sends: str, limits: bool
) -> None:
    parent = start(LIMITED + wait).pid
    until(lambda: [each.limits for each in told_of_child(parent)] == [limits])
    for _ in range(20):  # it moves between two looks
        (told,) = told_of_child(parent)
        assert (told.sends, told.limits) == (sends, limits)
        assert ("waits for its end for a limited time, in <module> (" in told.acts) == limits


def test_a_parent_that_kills_its_child_when_the_time_is_up(start: Start) -> None:
    code = "import subprocess, sys\nready()\n"
    code += "subprocess.run([sys.executable, '-c', 'import time; time.sleep(300)'], timeout=300)"
    parent = start(code).pid
    until(lambda: [each.sends for each in told_of_child(parent)] == ["SIGKILL"])
    for _ in range(20):
        (told,) = told_of_child(parent)
        assert told.acts.endswith(", and kills it then") and told.sends == "SIGKILL"


def told_of_child(parent: int) -> list[Parent]:
    """What its first child's parent is said to do."""
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    return [each for each in parents_of(int(children[0])) if each.pid == parent] if children else []


SENDERS = {
    "socket": """
import fcntl, socket
ours, theirs = socket.socketpair()
fcntl.fcntl(ours, fcntl.F_SETFL, os.O_ASYNC)
""",
    "lease": """
import fcntl, sys
opened = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT)
fcntl.fcntl(opened, fcntl.F_SETLEASE, fcntl.F_WRLCK)
""",
    "queue": """
import ctypes
libc = ctypes.CDLL(None)
name = b"/test-%d" % os.getpid()
assert libc.mq_open(name, os.O_CREAT | os.O_RDWR, 0o600, None) >= 0
libc.mq_unlink(name)
""",
}


@pytest.mark.parametrize(
    ("what", "why"), [("socket", "O_ASYNC"), ("lease", "O_ASYNC"), ("queue", "a message queue")]
)
def test_files_for_which_the_kernel_sends_signals(
    start: Start, collector: LinuxCollector, tmp_path: Path, what: str, why: str
) -> None:
    code = SENDERS[what] + "ready()\nimport signal\nsignal.pause()"
    process = start(code, str(tmp_path / "leased"))
    descriptors = collector.snapshot([process.pid]).processes[0].descriptors
    assert isinstance(descriptors, Known)
    assert [each.signals for each in descriptors.value if each.signals] == [why]


def test_evidence_survives_json(start: Start, collector: LinuxCollector) -> None:
    process = start("import threading; ready(); threading.Event().wait()")
    before = settled(collector, [process.pid], "futex")
    evidence = Evidence(
        machine=collector.machine(process.pid),
        before=before,
        stacks=collector.python_stacks([process.pid]),
        after=collector.snapshot([process.pid]),
        native_stacks=collector.native_stacks([process.pid]),
    )
    assert msgspec.json.decode(msgspec.json.encode(evidence), type=Evidence) == evidence
    first, second = evidence.before.processes[0].threads[0], evidence.after.processes[0].threads[0]
    assert (first.switches, first.activity) == (second.switches, second.activity)


def test_machine(collector: LinuxCollector) -> None:
    machine = collector.machine(os.getpid())
    assert (machine.system, machine.pointer_bits) == ("linux", 64)
    assert machine.architecture == platform.machine()
    name, version = platform.libc_ver()
    if name == "glibc":
        assert machine.libc == f"glibc {version}"


def test_a_program_whose_file_was_deleted(collector: LinuxCollector, tmp_path: Path) -> None:
    copy = tmp_path / "sleep"
    shutil.copy("/bin/sleep", copy)
    copy.chmod(0o755)
    with subprocess.Popen([str(copy), "1000"]) as process:
        until(lambda: calls(collector.snapshot([process.pid])) == ["clock_nanosleep"])
        copy.unlink()
        shutil.copy("/bin/true", copy)  # another file by the same name
        facts = collector.snapshot([process.pid]).processes[0]
        assert isinstance(facts.executable, Known)
        assert facts.executable.value.endswith(" (deleted)")
        assert isinstance(facts.threads[0].code, Known)
        process.kill()


# --- glances ------------------------------------------------------------------------------------


def test_glances_differ_when_the_process_has_moved(start: Start) -> None:
    process = start(
        "import signal\nsignal.signal(10, lambda *a: ready())\nready()\nwhile True: signal.pause()"
    )
    with Glancer(process.pid) as glancer:
        until(lambda: glancer.look() == glancer.look() and glancer.look().state == "S")
        first = glancer.look()
        assert (first.state, first.threads) == ("S", 1)
        assert first.syscall and first.syscall != "running"
        assert glance(process.pid) == first
        process.send_signal(10)
        assert process.stdout is not None
        process.stdout.readline()
        assert glancer.look() != first
        process.kill()
        process.wait()
        with pytest.raises(CaptureError, match="has ended"):
            glancer.look()
    with pytest.raises(CaptureError):
        glance(process.pid)


# --- permission ---------------------------------------------------------------------------------


def test_access_to_a_child_and_to_nobody(start: Start) -> None:
    process = start(
        "import threading, signal\nthreading.Thread(target=signal.pause).start()\n"
        "ready()\nsignal.pause()"
    )
    check_access(process.pid)
    thread = max(int(path.name) for path in Path(f"/proc/{process.pid}/task").iterdir())
    with pytest.raises(CaptureError, match=f"thread of process {process.pid}"):
        check_access(thread)
    with pytest.raises(CaptureError, match="there is no process"):
        check_access(2**22 + 1)


def test_access_to_a_zombie() -> None:
    with subprocess.Popen(["true"]) as process:
        until(lambda: ") Z " in Path(f"/proc/{process.pid}/stat").read_text())
        with pytest.raises(CaptureError, match="has already ended"):
            check_access(process.pid)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs another user")
def test_access_as_another_user(start: Start) -> None:
    process = start("import signal; ready(); signal.pause()")
    code = """
import os, sys
os.setuid(65534)
from deadlock_matrix.capture.permission import check_access
from deadlock_matrix.capture.linux import LinuxCollector
from deadlock_matrix.capture.parents import parents_of
from deadlock_matrix.errors import CaptureError
from deadlock_matrix.model.fact import Unknown
try:
    check_access(int(sys.argv[1]))
except CaptureError as error:
    print(error)
facts = LinuxCollector().snapshot([int(sys.argv[1])]).processes[0]
assert isinstance(facts.threads[0].activity, Unknown)
assert isinstance(facts.descriptors, Unknown)
assert isinstance(facts.shares_memory_with, Unknown)
assert isinstance(facts.libraries, Unknown)
"""
    path = os.pathsep.join(entry for entry in sys.path if entry)
    done = subprocess.run(
        [sys.executable, "-c", code, str(process.pid)],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    if "Permission denied" in done.stderr or "ModuleNotFoundError" in done.stderr:
        pytest.skip("another user cannot read this installation")
    assert done.returncode == 0, done.stderr
    assert "belongs to user 0" in done.stdout


@pytest.mark.skipif(os.geteuid() != 0, reason="a kernel thread's files are root's")
def test_access_to_a_kernel_thread() -> None:
    comm = Path("/proc/2/comm")
    if not comm.exists() or comm.read_text() != "kthreadd\n":
        pytest.skip("no kernel threads to be seen here")
    with pytest.raises(CaptureError, match="thread of the kernel"):
        check_access(2)


# --- elsewhere ----------------------------------------------------------------------------------


def test_the_portable_collector_knows_nothing_that_a_proof_needs(start: Start) -> None:
    process = start("import threading; ready(); threading.Event().wait()")
    portable = PortableCollector()
    portable.check(process.pid)
    snapshot = portable.snapshot([process.pid])
    (facts,) = snapshot.processes
    (thread,) = facts.threads
    for fact in (thread.activity, thread.switches, thread.word, thread.timeout, facts.descriptors):
        assert isinstance(fact, Unknown) and "not readable" in fact.reason
    assert msgspec.json.decode(msgspec.json.encode(snapshot), type=Snapshot) == snapshot

    def waits_for_ever() -> bool:  # soon after it has said that it is ready
        (stacks,) = portable.python_stacks([process.pid])
        assert isinstance(stacks.stacks, Known)
        frames = stacks.stacks.value.threads[0].python
        assert frames[0].function == "<module>"
        return any(frame.values.get("timeout") == "None" for frame in frames)

    until(waits_for_ever)


def test_this_system_has_the_full_collector() -> None:
    collector = open_collector()
    assert not isinstance(collector, PortableCollector)
    try:
        collector.warm_up()
        (process,) = collector.snapshot((os.getpid(),)).processes[:1]
    finally:
        collector.close()
    assert isinstance(process.signals, Known)
