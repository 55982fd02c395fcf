"""What ``scan`` costs on a machine with 200 Python processes, of which five are stuck.

First single rounds; then ``--every 2`` as a service, whose processor time and memory are watched,
its helpers' included. Times and shares are those of this machine with whatever else it does.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

TOOL = (sys.executable, "-m", "deadlock_matrix", "scan", "--json-lines", "--name", "program-*.py")
MIB = 1 << 20
BEGIN = "import os, signal, threading, time; signal.signal(2, signal.default_int_handler)\n"
READY = "os.write(1, b'r')\n"
JOINS = """
go, two = threading.Event(), []
def join(which):
    go.wait()
    two[which].join()
two += [threading.Thread(target=join, args=[1]), threading.Thread(target=join, args=[0])]
for thread in two: thread.start()
go.set()
"""
STUCK = {
    "takes its own lock": f"lock = threading.Lock(); lock.acquire()\n{READY}lock.acquire()",
    "joins in a circle": f"{JOINS}{READY}two[0].join()",
    "some threads only": f"{JOINS}{READY}\nwhile True: time.sleep(0.02)",
    "a queue that nobody feeds": f"import queue\n{READY}queue.Queue().get()",
    "a lock lost in a fork": (
        "lock = threading.Lock()\n"
        "def hold():\n    with lock:\n        held.set(); time.sleep(100000)\n"
        "held = threading.Event()\n"
        "threading.Thread(target=hold, daemon=True).start(); held.wait()\n"
        f"if os.fork() == 0:\n    {READY}    lock.acquire()\nos.wait()"
    ),
}
HEALTHY = {
    "sleeps": f"{READY}time.sleep(100000)",
    "waits for a client": (
        "import socket\nserver = socket.socket(); server.bind(('127.0.0.1', 0)); server.listen()\n"
        f"{READY}server.accept()"
    ),
    "event loop": (
        "import asyncio\nasync def main():\n    "
        f"{READY}    while True: await asyncio.sleep(0.5)\nasyncio.run(main())"
    ),
    "idle pool": (
        "from concurrent.futures import ThreadPoolExecutor\nwith ThreadPoolExecutor(4) as pool:\n"
        "    list(pool.map(time.sleep, [0.01] * 4))\n"
        f"    {READY}    while True: time.sleep(1)"
    ),
    "reads a pipe": f"{READY}os.read(0, 1)",
    "waits with a limit": f"go = threading.Event()\n{READY}\nwhile True: go.wait(5)",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--processes", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--minutes", type=float, default=10)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        group = start_all(Path(folder), options.processes)
        try:
            rounds(options.rounds)
            if options.minutes:
                service(options.minutes * 60)
        finally:
            for process in group:
                os.killpg(process.pid, signal.SIGKILL)
            for process in group:
                process.wait()


def start_all(folder: Path, number: int) -> list[subprocess.Popen[bytes]]:
    kinds = [*STUCK.items()]
    healthy = [*HEALTHY.items()]
    kinds += [healthy[each % len(healthy)] for each in range(number - len(kinds))]
    started = []
    for at, (_, code) in enumerate(kinds):
        script = folder / f"program-{at}.py"
        script.write_text(BEGIN + code)
        started.append(
            subprocess.Popen(
                [sys.executable, "-I", str(script)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                start_new_session=True,
            )
        )
    for process in started:
        assert process.stdout is not None
        process.stdout.read(1)
    time.sleep(1)
    return started


def rounds(number: int) -> None:
    seconds, processor, found = [], [], []
    for _ in range(number):
        before = os.times()
        began = time.monotonic()
        done = subprocess.run(TOOL, capture_output=True, text=True, check=False)
        seconds.append(time.monotonic() - began)
        after = os.times()
        processor.append(
            after.children_user + after.children_system
            - before.children_user - before.children_system
        )  # fmt: skip
        lines = map(json.loads, done.stdout.splitlines())
        found.append(sum(line["event"] == "deadlock" for line in lines))
    print(
        f"one scan: median {statistics.median(seconds):.1f} s ({min(seconds):.1f} to "
        f"{max(seconds):.1f}), {statistics.median(processor):.1f} s of a processor; "
        f"stuck: {found}; the last said: {done.stderr.strip()}",
        flush=True,
    )


def service(lasts_s: float) -> None:
    process = subprocess.Popen(
        [*TOOL, "--every", "2"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    told: Counter[str] = Counter()

    def read() -> None:
        assert process.stdout is not None
        for line in process.stdout:
            said = json.loads(line)
            told[f"{Path(said['program'].split()[-1]).name}: {said['event']}"] += 1

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    began = time.monotonic()
    memory: list[tuple[float, float]] = []
    used: dict[int, float] = {}
    first: float | None = None
    while time.monotonic() < began + lasts_s:
        time.sleep(5)
        pids = tree_of(process.pid)
        used |= {pid: seconds_of(pid) for pid in pids}
        memory.append((time.monotonic() - began, sum(map(memory_of, pids)) / MIB))
        if first is None and memory[-1][0] > 30:
            first = sum(used.values())
            first_at = memory[-1][0]
    total = sum(used.values())
    lasted = time.monotonic() - began
    process.send_signal(signal.SIGINT)
    process.wait(60)
    reader.join(5)
    print(f"--every 2 for {lasted:.0f} s: told {dict(told)}")
    print(f"  processor: {100 * total / lasted:.2f} % of one in all", end="")
    if first is not None:
        print(f", {100 * (total - first) / (lasted - first_at):.2f} % after the first 30 s", end="")
    early = [each for at, each in memory if at < lasted / 4]
    late = [each for at, each in memory if at > lasted * 3 / 4]
    print(
        f"\n  memory: {statistics.median(early):.1f} MiB in the first quarter, "
        f"{statistics.median(late):.1f} MiB in the last, at most {max(e for _, e in memory):.1f}"
    )


def tree_of(root: int) -> list[int]:
    found = [root]
    for pid in found:  # it grows meanwhile
        try:
            children = Path(f"/proc/{pid}/task/{pid}/children").read_text()
        except OSError:
            continue
        found += map(int, children.split())
    return found


def seconds_of(pid: int) -> float:
    """Processor time of a process, and of the children it has waited for."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK")


def memory_of(pid: int) -> float:
    """Bytes of its own: what it shares with others counts in part."""
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return 0.0
    return float(text.partition("\nPss:")[2].split()[0]) * 1024


if __name__ == "__main__":
    main()
