"""A matrix on three hosts, with everything that may happen to them: one result for each cell."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from pathlib import Path

import pytest

from deadlock_matrix.model.outcome import RunOutcome
from deadlock_matrix.model.report import Report
from deadlock_matrix.report.store import read_report
from tests.integration.grid_hosts import (
    PORT,
    SCHEDULER,
    Grid,
    grid,
    journal_ids,
    make_interpreter,
    wait_for,
    why_not,
)

pytest.importorskip("distributed", reason="the extra [dask] is not installed")

MATRIX = """
deadline-s = 60

[[layout]]
name = "travels"
overlays = ["pack"]

[[entry]]
name = "slow"
statement = "import travelling; travelling.slow()"

[[entry]]
name = "stuck"
statement = "import travelling; travelling.stuck()"

[[entry]]
name = "wrong"
statement = "import travelling; travelling.wrong()"

[[expect]]
entry = "stuck"
verdicts = ["deadlock"]
reason = "it is one"

[[expect]]
entry = "wrong"
verdicts = ["error"]
reason = "it is one"
"""
PACKAGE = """
import threading, time

def count():
    with open({counts!r}, "a") as file:
        file.write("x\\n")

def slow():
    count()
    time.sleep(0.4)

def stuck():
    count()
    threading.Lock().acquire() and threading.Lock()
    lock = threading.Lock()
    lock.acquire()
    lock.acquire()

def wrong():
    count()
    raise ValueError("wrong")
"""
OWN = ("own-a", "own-b", "own-c")
JOBS = 2
ADDRESS = f"tcp://{SCHEDULER}:{PORT}"


class Matrix:
    def __init__(self, folder: Path, repeat: int) -> None:
        self.folder = folder
        self.repeat = repeat
        self.counts = folder / "counts"
        self.counts.touch()
        (folder / "pack").mkdir()
        (folder / "pack" / "travelling.py").write_text(PACKAGE.format(counts=str(self.counts)))
        (folder / "matrix.toml").write_text(MATRIX)
        names = ("shared", *OWN)
        self.pythons = {name: make_interpreter(folder / name, name) for name in names}

    def executions(self) -> int:
        return len(self.counts.read_text().split())

    def options(self, report: str) -> tuple[str, ...]:
        return (
            *("-m", "deadlock_matrix", "run", "--config=matrix.toml", "--profile=baseline"),
            *("--entry=slow", "--entry=stuck", "--entry=wrong"),
            *("--layout=travels", "--context=main", f"--repeat={self.repeat}", "-q"),
            f"--deadlock-matrix-report={report}",
        )

    def worker(
        self, made: Grid, host: str, name: str, *more: str, scheduler: str = ADDRESS
    ) -> subprocess.Popen[bytes]:
        offered = ("shared", f"own-{host}") if host else ("shared", *OWN)
        interpreters = [f"--interpreter={each}={self.pythons[each]}" for each in offered]
        return made.start(
            host, name, "-m", "deadlock_matrix", "worker", scheduler, f"--jobs={JOBS}",
            f"--name={name}", *interpreters, *more,
        )  # fmt: skip


def verdicts(report: Report) -> dict[str, str]:
    return {each.cell.id: each.verdict.value for each in (*report.cells, *report.controls)}


@pytest.mark.timeout(1500)
@pytest.mark.skipif(bool(why_not()), reason=why_not() or "there can be")
def test_three_hosts_and_all_that_may_happen(tmp_path: Path) -> None:
    matrix = Matrix(tmp_path, repeat=25)
    run = tmp_path / "grid"

    def results() -> int:
        return journal_ids(run).total()

    with grid(tmp_path, ("a", "b", "c")) as made:
        assert made.network is not None
        made.scheduler()
        workers = {name: matrix.worker(made, name, name) for name in ("a", "b", "c")}
        first = made.start("", "first", *matrix.options("grid"), f"--dask={ADDRESS}")
        wait_for(lambda: results() >= 60, first)
        first.kill()  # the coordinator
        first.wait()
        before = journal_ids(run)
        time.sleep(1.0)
        again = made.start("", "again", "-m", "deadlock_matrix", "run", "--resume=grid",
                           f"--dask={ADDRESS}", "-q", "--events=events.jsonl")  # fmt: skip
        wait_for(lambda: results() >= 100, again)
        workers["b"].kill()
        wait_for(lambda: results() >= 130, again)
        made.network.cut("a")
        cut = time.monotonic()
        late = matrix.worker(made, "b", "late")
        wait_for(lambda: time.monotonic() > cut + 30, again)
        made.network.mend("a")
        assert again.wait(900) == 0, made.log("again")[-3000:]
        assert late.poll() is None
        assert workers["a"].poll() is None

        alone = [f"--interpreter={name}={python}" for name, python in matrix.pythons.items()]
        executed = matrix.executions()
        local = made.start("", "local", *matrix.options("local"), *alone, f"--jobs={JOBS}")
        assert local.wait(900) == 0, made.log("local")[-3000:]

    report = read_report(run)
    assert report.outcome is RunOutcome.AS_EXPECTED
    assert len(report.cells) == 300
    counts = journal_ids(run)
    assert set(counts.values()) == {1}
    assert not before - counts
    # Under way when the coordinator was killed, when a worker was, and when one was cut off.
    assert 300 <= executed <= 300 + 3 * JOBS + JOBS + JOBS
    print(f"{executed} executions of 300 cells", *report.notes, sep="; ")
    assert verdicts(report) == verdicts(read_report(tmp_path / "local"))
    machines = {each.machine for each in report.cells}
    assert len(machines) == 4  # three, and the late one
    assert machines <= set(report.machines)
    assert all(name.startswith("host-") for name in machines)
    late_name = {each.machine for each in report.cells if each.cell.interpreter.name == "own-b"}
    assert len(late_name) == 2  # who was there first, and who came late


# --- who may connect ------------------------------------------------------------------------------


def certificates(folder: Path, name: str) -> tuple[str, str, str]:
    """An authority, and a certificate that it has signed with its key."""
    ca, cert, key = (folder / f"{name}-{each}.pem" for each in ("ca", "cert", "key"))
    new = ("openssl", "req", "-newkey", "rsa:2048", "-nodes")
    for command in (
        (*new, "-x509", "-days", "1", "-subj", f"/CN={name}", "-keyout", f"{ca}.key", "-out", ca),
        (*new, "-subj", "/CN=matrix", "-keyout", key, "-out", f"{cert}.csr"),
        ("openssl", "x509", "-req", "-in", f"{cert}.csr", "-CA", ca, "-CAkey", f"{ca}.key",
         "-CAcreateserial", "-days", "1", "-out", cert),
    ):  # fmt: skip
        subprocess.run(list(map(str, command)), check=True, capture_output=True)
    return str(ca), str(cert), str(key)


def tls(files: tuple[str, str, str]) -> list[str]:
    names = ("ca", "cert", "key")
    return [f"--tls-{name}={file}" for name, file in zip(names, files, strict=True)]


@pytest.mark.timeout(900)
@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
def test_only_who_has_a_certificate_gets_in(tmp_path: Path) -> None:
    ours, others = certificates(tmp_path, "ours"), certificates(tmp_path, "others")
    matrix = Matrix(tmp_path, repeat=1)
    port = free_port()
    address = f"tls://127.0.0.1:{port}"
    made = Grid(tmp_path, None)
    try:
        ca, cert, key = ours
        made.start(
            "", "scheduler", "-m", "distributed.cli.dask_scheduler", "--host", "127.0.0.1",
            "--port", str(port), "--no-dashboard", "--protocol", "tls",
            "--tls-ca-file", ca, "--tls-cert", cert, "--tls-key", key,
        )  # fmt: skip
        stranger = matrix.worker(made, "", "stranger", *tls(others), scheduler=address)
        plain = matrix.worker(made, "", "plain", scheduler=address.replace("tls", "tcp"))
        friend = matrix.worker(made, "", "friend", *tls(ours), scheduler=address)
        run = made.start("", "run", *matrix.options("run"), f"--dask={address}", *tls(ours),
                         "--include-host")  # fmt: skip
        assert run.wait(200) == 0, made.log("run")[-3000:]
        asked = made.start("", "asked", *matrix.options("no"), f"--dask={address}", *tls(others),
                           "--dask-wait=5")  # fmt: skip
        assert asked.wait(200) == 4
        assert "no scheduler answers at tls://" in made.log("asked")
        assert all(each.poll() is None for each in (stranger, plain, friend))
    finally:
        made.close()
    assert "serves" in made.log("friend")
    assert "serves" not in made.log("stranger") + made.log("plain")
    report = read_report(tmp_path / "run")
    assert report.outcome is RunOutcome.AS_EXPECTED
    assert {each.machine for each in report.cells} == {"friend"}


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


@pytest.mark.timeout(900)
def test_what_nobody_has_and_who_is_not_there(tmp_path: Path) -> None:
    matrix = Matrix(tmp_path, repeat=1)
    made = Grid(tmp_path, None)
    port = free_port()
    address = f"tcp://127.0.0.1:{port}"
    try:
        made.start("", "scheduler", "-m", "distributed.cli.dask_scheduler", "--host", "127.0.0.1",
                   "--port", str(port), "--no-dashboard")  # fmt: skip
        alone = made.start("", "alone", *matrix.options("no"), f"--dask={address}", "--dask-wait=2")
        assert alone.wait(200) == 4
        assert "no worker has joined within 2 s" in made.log("alone")
        worker = matrix.worker(made, "", "here", scheduler=address)
        run = made.start("", "run", *matrix.options("run"), f"--dask={address}", "--dask-wait=20",
                         "--interpreter=shared", "--interpreter=nowhere")  # fmt: skip
        assert run.wait(200) == 0, made.log("run")[-3000:]
        assert worker.poll() is None
    finally:
        made.close()
    report = read_report(tmp_path / "run")
    found = {each.cell.interpreter.name: each for each in report.cells}
    assert found["nowhere"].why == (
        "no worker has an interpreter nowhere; the workers have own-a, own-b, own-c, shared"
    )
    assert report.summary.verdicts == {"ok": 1, "error": 1, "deadlock": 1, "unavailable": 3}
