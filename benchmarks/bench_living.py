"""What ``inspect`` takes on living programs, and what looking costs them: their own heartbeat.

Each program beats: it notes how late a sleep of 5 ms returns. The delays while it is looked at are
compared with those before, in the same run. The programs: a server two of whose threads cross
RLocks, the same with Locks, one thousand idle threads beside such a pair, the same pair beside
2 GB of small objects, and the same beside 600 other processes.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

PROGRAM = """
import http.server, json, sys, threading, time

kind, threads, gigabytes = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
lock = threading.RLock if kind == "rlocks" else threading.Lock
first, second, both = lock(), lock(), threading.Barrier(2)
idle, late, ballast = threading.Event(), [], []

def over():
    with first:
        both.wait()
        with second: pass

def under():
    with second:
        both.wait()
        with first: pass

def beat():
    while True:
        begin = time.perf_counter()
        time.sleep(0.005)
        late.append(time.perf_counter() - begin - 0.005)

def tell():
    for line in sys.stdin:
        print(json.dumps(sorted(late)[-int(len(late) * 0.1) - 1:] if late else []), flush=True)
        late.clear()

while sum(map(len, ballast)) < gigabytes * 1e9 / 100:  # a list of floats and tuples: 100 bytes each
    ballast.append([(float(at), at) for at in range(100000)])
threading.stack_size(256 * 1024)
for _ in range(threads):
    threading.Thread(target=idle.wait, daemon=True).start()
for work in (over, under, beat, tell):
    threading.Thread(target=work, name=work.__name__, daemon=True).start()
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler)
print("ready", flush=True)
server.serve_forever()
"""

PROGRAMS = (
    ("a server, two RLocks crossed", 0, "rlocks", 0, 0.0),
    ("a server, two Locks crossed", 0, "locks", 0, 0.0),
    ("the same beside 1,000 threads", 0, "locks", 1000, 0.0),
    ("the same beside 2 GB of objects", 0, "locks", 0, 2.0),
    ("the same beside 600 other processes", 600, "locks", 0, 0.0),
)


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--only", default="", help="a part of a program's name")
    arguments = parser.parse_args()
    print("| program | answer | `inspect`, median | beat late before | while looked at |")
    print("| --- | --- | --- | --- | --- |")
    for name, others, *program in PROGRAMS:
        if arguments.only in name:
            with beside(others):
                line = measure(arguments.python, arguments.runs, program)
            print(f"| {name} | {line} |", flush=True)


@contextmanager
def beside(others: int) -> Iterator[None]:
    """So many other processes, which sleep."""
    sleeping = [subprocess.Popen(["sleep", "1000"]) for _ in range(others)]
    try:
        yield
    finally:
        for process in sleeping:
            process.kill()
        for process in sleeping:
            process.wait()


def measure(python: str, runs: int, program: list[Any]) -> str:
    """One line of the table."""
    process = subprocess.Popen(
        [python, "-c", PROGRAM, *map(str, program)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdin is not None and process.stdout is not None
    try:
        process.stdout.readline()
        time.sleep(1)
        latest(process)
        times: list[float] = []
        before, during = [], []
        answer = ""
        for _ in range(runs):
            time.sleep(1)
            before += latest(process)
            begin = time.perf_counter()
            command = [sys.executable, "-m", "deadlock_matrix", "inspect", str(process.pid)]
            done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
            times.append(time.perf_counter() - begin)
            during += latest(process)
            answer = done.stdout.partition(":")[0]
        return " | ".join((answer, f"{statistics.median(times):.2f} s", of(before), of(during)))
    finally:
        process.kill()
        process.wait()


def latest(process: subprocess.Popen[str]) -> list[float]:
    """The latest tenth of the beats since the last question."""
    assert process.stdin is not None and process.stdout is not None
    process.stdin.write("?\n")
    process.stdin.flush()
    return [float(each) for each in process.stdout.readline().strip("[]\n").split(", ") if each]


def of(late: list[float]) -> str:
    """The median of the latest tenth, and the latest of all."""
    return f"{statistics.median(late) * 1e3:.2f} ms, at most {max(late) * 1e3:.1f} ms"


if __name__ == "__main__":
    main()
