"""``deadlock-matrix watch`` as it is used: any command, its streams, its exit status."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from integration.file_server import FileServer, can_serve

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="elsewhere there is no proof"),
    pytest.mark.timeout(600),
]

Until = Callable[..., None]
Alive = Callable[[], dict[int, str]]
WATCH = (sys.executable, "-m", "deadlock_matrix", "watch")
DEADLOCK = "import threading; lock = threading.Lock(); lock.acquire(); lock.acquire()"
TOKEN = "WANTED_TOKEN"


@pytest.fixture
def watch(token: str) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run it to its end, with the test's token on everything."""

    def run(*arguments: str, **rest: Any) -> subprocess.CompletedProcess[str]:
        options: dict[str, Any] = {"stdin": subprocess.DEVNULL, **rest}
        if "input" in options:
            del options["stdin"]
        return subprocess.run(
            [*WATCH, *arguments],
            env={**os.environ, TOKEN: token},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
            start_new_session=True,
            **options,
        )

    return run


Watch = Callable[..., "subprocess.CompletedProcess[str]"]


def python(code: str) -> tuple[str, ...]:
    return ("--", sys.executable, "-c", code)


# --- a command that ends by itself ----------------------------------------------------------------


def test_streams_pass_through(watch: Watch) -> None:
    done = watch("--", "sh", "-c", "cat; echo out; echo err >&2", input="in\n")
    assert (done.stdout, done.stderr, done.returncode) == ("in\nout\n", "err\n", 0)


@pytest.mark.parametrize(
    ("script", "status"),
    [
        ("exit 0", 0),
        ("exit 3", 3),
        ("exit 255", 255),
        ("kill -TERM $$", 128 + signal.SIGTERM),
        ("kill -KILL $$", 128 + signal.SIGKILL),
        ("kill -SEGV $$", 128 + signal.SIGSEGV),
        ("kill -INT $$", 128 + signal.SIGINT),
    ],
)
def test_the_status_is_the_command_s(watch: Watch, script: str, status: int) -> None:
    done = watch("--", "sh", "-c", script)
    assert (done.returncode, done.stdout, done.stderr) == (status, "", "")


def test_the_command_s_options_are_its_own(watch: Watch) -> None:
    for dashes in ((), ("--",)):
        done = watch(*dashes, "echo", "--timeout", "--help", "-x", "--", "a b")
        assert done.stdout == "--timeout --help -x -- a b\n"


def test_the_command_is_as_without_us(watch: Watch, token: str) -> None:
    code = f"""
import json, os
listing = os.open("/proc/self/fd", os.O_RDONLY)
print(json.dumps([sorted(map(int, os.listdir(listing))), os.getcwd(), os.environ["{TOKEN}"],
                  len(os.environ), os.getppid() != 1]))
"""
    done = watch(*python(code), cwd="/")
    descriptors, folder, mark, variables, has_parent = json.loads(done.stdout)
    assert descriptors == [0, 1, 2, 3, 4]  # the last two are the listing's
    assert (folder, mark, has_parent) == ("/", token, True)
    assert variables == len({**os.environ, TOKEN: token})


def test_standard_input_is_the_real_one(watch: Watch, tmp_path: Path) -> None:
    file = tmp_path / "in"
    file.write_text("first\nsecond\n")
    with file.open() as stdin:
        done = watch("--", "sh", "-c", "read line; echo $line", stdin=stdin)
        assert done.stdout == "first\n"


def test_what_runs_in_the_background_lives_on(watch: Watch, state: Callable[[int], str]) -> None:
    done = watch("--", "sh", "-c", "sleep 1000 >/dev/null 2>&1 </dev/null & echo $!; exit 4")
    assert done.returncode == 4
    pid = int(done.stdout)
    assert state(pid) in "SR"
    os.kill(pid, signal.SIGKILL)


# --- what cannot be run ---------------------------------------------------------------------------


def test_a_command_that_is_not_there(watch: Watch) -> None:
    done = watch("--", "no-such-command-anywhere", "argument")
    assert done.returncode == 127
    assert done.stderr == "deadlock-matrix: no-such-command-anywhere was not found\n"


@pytest.mark.parametrize(("text", "mode"), [("", 0o644), ("\x7fELF", 0o755), ("", None)])
def test_a_command_that_cannot_be_executed(
    watch: Watch, tmp_path: Path, text: str, mode: int | None
) -> None:
    file = tmp_path / "program"
    if mode is None:
        file.mkdir()
    else:
        file.write_text(text)
        file.chmod(mode)
    done = watch("--", str(file))
    assert done.returncode == 126
    assert done.stderr.count("\n") == 1 and str(file) in done.stderr


def test_a_script_whose_interpreter_is_missing(watch: Watch, tmp_path: Path) -> None:
    file = tmp_path / "program"
    file.write_text("#!/no/such/interpreter\n")
    file.chmod(0o755)
    done = watch("--", str(file))
    assert done.returncode == 126 and str(file) in done.stderr


@pytest.mark.skipif(not can_serve(), reason="needs root and /dev/fuse")
@pytest.mark.parametrize("by", ["path", "name"])
def test_a_program_on_a_file_server_that_is_dead_before_the_start(tmp_path: Path, by: str) -> None:
    with FileServer(tmp_path, Path("/bin/true").read_bytes()) as server:
        server.program.stat()
        server.die()
        command = str(server.program) if by == "path" else server.program.name
        path = f"{tmp_path}:{os.environ['PATH']}"
        process = subprocess.Popen(
            [*WATCH, "--timeout", "1", "--", command],
            env={**os.environ, "PATH": path},
            stderr=subprocess.DEVNULL,
        )
        assert process.wait(20) == 124


@pytest.mark.parametrize("where", ["folder", "no-folder", "read-only"])
def test_an_unwritable_report_is_told_before_the_command_runs(
    watch: Watch, tmp_path: Path, where: str
) -> None:
    (tmp_path / "file").write_text("")
    json_file = {
        "folder": str(tmp_path),
        "no-folder": str(tmp_path / "file" / "found.json"),
        "read-only": "/proc/found.json",
    }[where]
    done = watch("--json", json_file, "--", "touch", str(tmp_path / "ran"))
    assert done.returncode == (2 if where == "folder" else 125)
    assert not (tmp_path / "ran").exists()
    assert json_file in done.stderr and "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == [tmp_path / "file"]


@pytest.mark.parametrize(
    "arguments", [(), ("--timeout", "0", "--", "true"), ("--timeout", "x", "true"), ("--nonsense",)]
)
def test_a_wrong_command_line(watch: Watch, arguments: tuple[str, ...]) -> None:
    done = watch(*arguments)
    if arguments == ("--nonsense",):  # taken for the command: then it is one that is not there
        assert done.returncode == 127
    else:
        assert done.returncode == 2 and "Usage" in done.stderr


def test_json_says_how_a_command_ended(watch: Watch, tmp_path: Path) -> None:
    file = tmp_path / "found.json"
    for code, end in (
        ("raise SystemExit(3)", {"ended": "exited", "status": 3}),
        ("import os; os.kill(os.getpid(), 9)", {"ended": "signalled", "signal": 9}),
    ):
        done = watch("--json", str(file), *python(code))
        assert done.returncode == {"exited": 3, "signalled": 137}[str(end["ended"])]
        assert done.stderr == ""
        document = json.loads(file.read_text())
        assert (document["verdict"], document["end"]["value"]) == ("ended", end)
        assert document["sentence"].startswith("the command ")


def test_json_keeps_what_was_stuck_before_the_end(watch: Watch, tmp_path: Path) -> None:
    file = tmp_path / "found.json"
    code = """
import json, pathlib, sys, threading, time
locks = [threading.RLock() for _ in range(2)]
gate = threading.Barrier(2)
def cross(first, second):
    with locks[first]:
        gate.wait()
        with locks[second]: pass
for pair in ((0, 1), (1, 0)):
    threading.Thread(target=cross, args=pair, daemon=True).start()
found = pathlib.Path(sys.argv[1])
while not found.exists() or not found.read_text():  # told: now it may end
    time.sleep(0.05)
"""
    done = watch("--json", str(file), *python(code), str(file))
    assert done.returncode == 0
    document = json.loads(file.read_text())
    assert (document["verdict"], document["outcome"]) == ("ended", "partial")
    assert document["proof"]["kind"] == "owner"
    assert document["sentence"].startswith("the command ended with status 0; before that: ")


# --- a command that hangs -------------------------------------------------------------------------


def test_a_proved_deadlock(watch: Watch, alive: Alive, tmp_path: Path) -> None:
    file = tmp_path / "new" / "found.json"
    done = watch(
        "--proof", "--json", str(file), *python(f"print('before', flush=True)\n{DEADLOCK}")
    )
    assert done.returncode == 35
    assert done.stdout == "before\n"  # what was found goes to standard error
    assert done.stderr.startswith("deadlock: ")
    assert "closed-world proof" in done.stderr and "in the same place for" in done.stderr
    assert alive() == {}
    document = json.loads(file.read_text())
    assert document["verdict"] == "deadlock"
    assert {"kind", "nodes", "edges", "conditions", "sentence"} <= set(document["proof"])
    assert document["proof"]["kind"] == "closed-world"
    assert document["sentence"] == document["proof"]["sentence"]
    (thread,) = document["threads"]
    assert thread["stuck"] is True and thread["name"]
    assert any("libc" in path for path in document["libraries"])
    assert 0 < document["detected_after_s"]["value"] < 20
    program, *_ = shlex.split(document["subject"])  # the home folder in it is not named
    assert Path(program).parts[-3:] == Path(sys.executable).parts[-3:]
    assert document["gaps"] == []


def test_a_deadlock_is_proved_in_the_background_too(token: str, alive: Alive) -> None:
    """A shell's ``&`` and ``nohup`` leave these signals ignored, in us and in the command."""
    ignoring = ("sh", "-c", 'trap "" INT HUP QUIT; exec "$@"', "sh")
    done = subprocess.run(
        [*ignoring, *WATCH, *python(DEADLOCK)],
        env={**os.environ, TOKEN: token}, stdin=subprocess.DEVNULL,
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 35
    assert done.stderr.startswith("deadlock: ")
    assert alive() == {}


def test_the_time_is_up(watch: Watch, alive: Alive, tmp_path: Path) -> None:
    file = tmp_path / "found.json"
    code = "import subprocess, time; subprocess.Popen(['sleep', '1000']); time.sleep(1000)"
    done = watch("--timeout", "1", "--json", str(file), *python(code))
    assert done.returncode == 124
    assert done.stderr.startswith("hang: ") and "what stands in the way of a proof" in done.stderr
    assert alive() == {}  # the sleeping child too
    document = json.loads(file.read_text())
    assert (document["verdict"], document["proof"]) == ("hang", None)
    assert document["gaps"] and document["detected_after_s"]["fact"] == "unknown"


def test_the_time_is_up_while_it_moves(watch: Watch) -> None:
    code = "n = 0\nwhile True:\n" + "    for _ in range(1000): n += 1\n" * 100
    done = watch("--timeout", "1.5", *python(code))
    assert done.returncode == 124
    assert done.stderr.startswith("slow: ")


def test_the_time_is_up_while_it_runs_and_has_no_python_stacks(watch: Watch) -> None:
    done = watch("--timeout", "1.5", "sh", "-c", "while :; do :; done")
    assert done.returncode == 124
    first = done.stderr.splitlines()[0]
    assert first.startswith("slow: main thread ") and first.endswith(" is running")


def test_a_hung_command_is_kept(
    launch: Callable[..., subprocess.Popen[bytes]],
    alive: Alive,
    until: Until,
    state: Callable[[int], str],
    tmp_path: Path,
) -> None:
    said = tmp_path / "said"
    for arguments, status in (
        (python(DEADLOCK), 35),
        (("--timeout", "0.5", *python("import time; time.sleep(1000)")), 124),
    ):
        with said.open("wb") as file:  # not a pipe: the command keeps its end of it
            watcher = launch(*WATCH, "--keep", *arguments, stdout=file, stderr=file)
        assert watcher.wait(40) == status
        last, _, pid = said.read_text().strip().rpartition("\n")[2].rpartition(" ")
        assert last == "left as it is, for a debugger: process"
        assert list(alive()) == [int(pid)] and state(int(pid)) == "S"
        os.kill(int(pid), signal.SIGKILL)
        until(lambda: not alive())


def test_json_to_standard_output(watch: Watch) -> None:
    done = watch("--json", "-", *python(DEADLOCK))
    assert done.returncode == 35
    assert json.loads(done.stdout)["verdict"] == "deadlock"


SERVER = "import signal; signal.signal(signal.SIGTERM, lambda number, frame: None)\n" + DEADLOCK


def test_a_likely_deadlock_is_told_and_ends_nothing(
    watch: Watch, alive: Alive, tmp_path: Path
) -> None:
    file = tmp_path / "found.json"
    done = watch("--timeout", "8", "--json", str(file), *python(SERVER))
    assert done.returncode == 124 and alive() == {}
    told = [line for line in done.stderr.splitlines() if "likely deadlock: " in line]
    assert told[0].startswith("deadlock-matrix: likely deadlock: ")  # at once
    assert told[-1].startswith("likely deadlock: ") and "if no SIGTERM comes" in done.stderr
    document = json.loads(file.read_text())
    assert (document["verdict"], document["outcome"]) == ("hang", "likely")
    (assumed,) = document["proof"]["assumptions"]
    assert assumed["kind"] == "no-signal" and assumed["source"]


def test_a_likely_deadlock_ends_the_command_where_asked(watch: Watch, alive: Alive) -> None:
    done = watch("--timeout", "40", "--likely", *python(SERVER))
    assert done.returncode == 36 and alive() == {}
    assert done.stderr.startswith("likely deadlock: ")


PARTIAL = """
import os, threading, time
def work(other):
    time.sleep(0.3)
    other.join()
threads = []
threads += [threading.Thread(target=lambda: work(threads[1]), daemon=True)]
threads += [threading.Thread(target=lambda: work(threads[0]), daemon=True)]
for thread in threads: thread.start()
for _ in range(400):
    if os.path.exists(%r): break
    time.sleep(0.1)
"""


def test_a_partial_deadlock_is_told_while_the_command_goes_on(
    watch: Watch, alive: Alive, tmp_path: Path
) -> None:
    file = tmp_path / "found.json"
    done = watch("--json", str(file), *python(PARTIAL % str(file)))
    assert done.returncode == 0 and alive() == {}
    assert done.stderr.count("deadlock-matrix: ") <= 1
    if sys.version_info < (3, 13):  # from there on a join in Python shows no owner
        assert done.stderr.startswith("deadlock-matrix: ") and "partial deadlock: " in done.stderr
        assert "can go on" in done.stderr
        document = json.loads(file.read_text())
        assert document["partial"] and document["verdict"] == "ended"


LATE = """
import os, sys, threading, time
if os.fork() == 0:
    while os.getppid() != 1:
        time.sleep(0.05)
    os._exit(0)
one, other, both = threading.Lock(), threading.Lock(), threading.Barrier(2)
def work(first, second):
    time.sleep(5)
    with first:
        both.wait()
        print("onset", time.monotonic(), file=sys.stderr, flush=True)
        with second:
            pass
threading.Thread(target=work, args=(one, other), daemon=True).start()
threading.Thread(target=work, args=(other, one), daemon=True).start()
while True:
    time.sleep(0.05)
"""


def test_locks_that_cross_late_beside_others_at_work_are_told_at_once(
    launch: Callable[..., subprocess.Popen[bytes]],
) -> None:
    process = launch(*WATCH, "--timeout", "30", *python(LATE), stderr=subprocess.PIPE)
    assert process.stderr is not None
    onsets: list[float] = []
    lines: list[bytes] = []
    for line in process.stderr:
        lines.append(line)
        if line.startswith(b"onset "):
            onsets.append(float(line.split()[1]))
        elif b"likely partial deadlock: " in line:
            break
    told = time.monotonic()
    assert len(onsets) == 2, (lines, process.poll())
    assert told - max(onsets) < 6  # without a look at those asleep, it would be later


HUNG_TEST = """
import threading, time
index, log = threading.Lock(), threading.Lock()

def test_compaction():
    both = threading.Barrier(2)
    def compact():
        with log:
            both.wait()
            with index:
                pass
    threading.Thread(target=compact, daemon=True).start()
    with index:
        both.wait()
        with open("onset", "w") as file:
            file.write(str(time.monotonic()))
        with log:
            pass
"""


@pytest.mark.parametrize("workers", ["0", "2"])
def test_a_test_that_hangs_is_told_at_once_also_in_a_worker(
    launch: Callable[..., subprocess.Popen[bytes]], tmp_path: Path, workers: str
) -> None:
    pytest.importorskip("xdist")
    (tmp_path / "test_store.py").write_text(HUNG_TEST)
    suite = (sys.executable, "-m", "pytest", "-q", "-n", workers, "-p", "no:cacheprovider")
    process = launch(
        *(*WATCH, "--timeout", "60", "--", *suite, "-c", os.devnull, "test_store.py"),
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    assert process.stderr is not None
    told = next(line for line in process.stderr if b"deadlock: " in line)
    told_at = time.monotonic()
    assert b"likely " in told and b"(test_store.py:17)" in told
    assert told_at - float((tmp_path / "onset").read_text()) < 6


# --- signals to the watcher -----------------------------------------------------------------------

READY = "import os; os.write(1, b'ready\\n');"


@pytest.fixture
def watching(launch: Callable[..., subprocess.Popen[bytes]]) -> Callable[..., Any]:
    """Start it, and wait until its command is there."""

    def start(*arguments: str, **options: Any) -> subprocess.Popen[bytes]:
        process = launch(
            *WATCH, *arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options
        )
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        return process

    return start


Watching = Callable[..., "subprocess.Popen[bytes]"]


def test_ctrl_c_reaches_the_command_too(watching: Watching, alive: Alive) -> None:
    code = f"import signal; signal.signal(signal.SIGINT, signal.SIG_DFL); {READY} signal.pause()"

    def end() -> float:
        process = watching(*python(code))
        os.killpg(process.pid, signal.SIGINT)
        began = time.monotonic()
        assert process.wait(120) == 128 + signal.SIGINT
        took_s = time.monotonic() - began
        assert alive() == {}
        assert process.stderr is not None and b"Traceback" not in process.stderr.read()
        return took_s

    # Before it would have been ended; not each time, where the machine is busy.
    assert any(end() < 1.8 for _ in range(10))


def test_a_command_that_makes_its_own_of_ctrl_c(watching: Watching, alive: Alive) -> None:
    code = f"""
import signal, sys
signal.signal(signal.SIGINT, lambda *a: sys.exit(7))
{READY}
signal.pause()
"""
    process = watching(*python(code))
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait(120) == 7
    assert alive() == {}


STUBBORN = f"""
import signal
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    signal.signal(number, lambda *a: None)
if os.fork(): {READY}
while True: signal.pause()
""".replace("\nif", "\nimport os\nif")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_command_that_does_not_care_is_ended(
    watching: Watching, alive: Alive, number: signal.Signals
) -> None:
    process = watching(*python(STUBBORN))
    os.killpg(process.pid, number)
    assert process.wait(120) == 128 + number
    assert alive() == {}


def test_the_second_request_is_final(watching: Watching, alive: Alive) -> None:
    code = f"""
import signal
signal.signal(signal.SIGTERM, lambda *a: os.write(1, b"once\\n"))
{READY}
while True: signal.pause()
"""

    def end() -> float:
        process = watching(*python(code))
        process.terminate()
        assert process.stdout is not None and process.stdout.readline() == b"once\n"
        began = time.monotonic()
        process.terminate()
        assert process.wait(120) == 128 + signal.SIGTERM
        took_s = time.monotonic() - began
        assert alive() == {}
        return took_s

    # Not the two seconds that it has after the first; not each time, where the machine is busy.
    assert any(end() < 1.8 for _ in range(10))


def test_a_request_to_end_is_handed_on(watching: Watching, alive: Alive) -> None:
    code = f"""
import signal, sys
signal.signal(signal.SIGTERM, lambda *a: (print("tidy", flush=True), sys.exit(9)))
{READY}
signal.pause()
"""
    process = watching(*python(code))
    process.terminate()
    assert process.wait(120) == 9
    assert process.stdout is not None and process.stdout.read() == b"tidy\n"
    assert alive() == {}


def test_a_watcher_that_is_killed_leaves_no_command(
    watching: Watching, alive: Alive, until: Until
) -> None:
    process = watching(*python(STUBBORN))
    process.kill()
    process.wait()
    until(lambda: not alive())


def test_nohup_still_means_what_it_says(watching: Watching, alive: Alive) -> None:
    code = f"{READY} import sys; sys.stdin.read(); print('went on')"
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        process = watching(*python(code), stdin=subprocess.PIPE)
    finally:
        signal.signal(signal.SIGHUP, before)
    os.killpg(process.pid, signal.SIGHUP)
    assert process.stdin is not None and process.stdout is not None
    process.stdin.close()
    assert process.stdout.read() == b"went on\n"
    assert process.wait(120) == 0
