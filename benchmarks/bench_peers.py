"""Ten common hangs: what each tool says of them. Every tool runs on the same hung process.

A tool *names the cause* if its output has the words that are listed with the program: what is
waited for, and who has it. A tool that shows where the threads are, and no more, shows *stacks*.
With ``--keep`` all that the tools printed is kept, so that everybody can judge it.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Hang:
    """A program that hangs, and what a tool has to say to have told its cause."""

    name: str
    source: str
    cause: tuple[str, ...]  # patterns, all of which must be in the output
    line: str  # what a stack shows of it
    told: str = ""  # what has then been told; nothing: the first words of the output


SERVER = "while True: time.sleep(0.5)\n"
HANGS = (
    Hang(
        name="two `RLock`s crossed, the service goes on",
        source="""
a, b, both = threading.RLock(), threading.RLock(), threading.Barrier(2)
def one():
    with a:
        both.wait()
        with b: pass
def two():
    with b:
        both.wait()
        with a: pass
for work in (one, two): threading.Thread(target=work, daemon=True).start()
"""
        + SERVER,
        cause=(r"deadlock", r"RLock .*\(b\).*held by", r"RLock .*\(a\).*held by"),
        line=r"\bone\b",
    ),
    Hang(
        name="two `Lock`s crossed by `with`",
        source="""
a, b, both = threading.Lock(), threading.Lock(), threading.Barrier(2)
def one():
    with a:
        both.wait()
        with b: pass
def two():
    with b:
        both.wait()
        with a: pass
for work in (one, two): threading.Thread(target=work, daemon=True).start()
"""
        + SERVER,
        cause=(r"deadlock", r"Lock .*\(b\).*held by", r"with a"),
        line=r"\bone\b",
    ),
    Hang(
        name="a lock taken twice",
        source="""
lock = threading.Lock()
def save():
    with lock: flush()
def flush():
    with lock: pass
save()
""",
        cause=(r"deadlock", r"which it holds itself|held by main thread"),
        line=r"\bflush\b",
    ),
    Hang(
        name="a queue that nobody fills",
        source="""
import queue
jobs = queue.Queue()
def work(): jobs.get()
thread = threading.Thread(target=work); thread.start(); thread.join()
""",
        cause=(r"deadlock", r"Queue .*jobs"),
        line=r"\bwork\b",
    ),
    Hang(
        name="a pool that waits for itself",
        source="""
from concurrent.futures import ThreadPoolExecutor
pool = ThreadPoolExecutor(1)
def outer(): return pool.submit(int).result()
pool.submit(outer).result()
""",
        cause=(r"deadlock", r"pool"),
        line=r"\bouter\b",
    ),
    Hang(
        name="a join inside the lock that the thread wants",
        source="""
lock, inside = threading.RLock(), threading.Event()
def work():
    inside.wait()
    with lock: pass
thread = threading.Thread(target=work, name="worker"); thread.start()
with lock:
    inside.set(); thread.join()
""",
        cause=(r"deadlock", r"joins thread \d+ 'worker'", r"RLock .*\(lock\).*held by main"),
        line=r"\bwork\b",
    ),
    Hang(
        name="two imports and a lock",
        source="""
import os, tempfile
folder = tempfile.mkdtemp(); sys.path.insert(0, folder)
pathlib = __import__("pathlib")
pathlib.Path(folder, "slow_module.py").write_text(
    "import threading\\ndef f(): import slow_module.part\\n"
    "t = threading.Thread(target=lambda: __import__('slow_module'))\\nt.start(); t.join()\\n")
import slow_module
""",
        cause=(r"deadlock", r"import lock of module 'slow_module'", r"joins thread"),
        line=r"slow_module",
    ),
    Hang(
        name="a lock held over a fork",
        source="""
import os
lock, held = threading.Lock(), threading.Event()
def keep():
    with lock: held.set(); time.sleep(1000)
threading.Thread(target=keep, name="keeper", daemon=True).start(); held.wait()
if os.fork() == 0:
    with lock: os._exit(0)
os.wait()
""",
        cause=(r"'keeper'.*fork|fork.*'keeper'",),
        line=r"\bkeep\b",
    ),
    Hang(
        name="a socket without a timeout",
        source="""
import socket
server = socket.create_server(("127.0.0.1", 0))
client = socket.create_connection(server.getsockname())
client.recv(1)
""",
        cause=(r"127\.0\.0\.1:\d+",),
        told="names the peer, and that no timeout is set",
        line=r"<module>",
    ),
    Hang(
        name="two tasks cross two `asyncio.Lock`s",
        source="""
import asyncio
async def main():
    a, b, both = asyncio.Lock(), asyncio.Lock(), asyncio.Event()
    async def one():
        async with a:
            await both.wait()
            async with b: pass
    async def two():
        async with b:
            both.set()
            async with a: pass
    tasks = asyncio.create_task(one(), name="one"), asyncio.create_task(two(), name="two")
    await asyncio.gather(*tasks)
asyncio.run(main())
""",
        cause=(r"deadlock", r"task 'one'.*waits for Lock b, held by task 'two'"),
        told="names the tasks, their locks and who holds them",
        line=r"\bone\b|asyncio",
    ),
)

HEAD = "import sys, threading, time\n"
DUMPS = """import faulthandler, signal
faulthandler.register(signal.SIGUSR1, file=open({dump!r}, "w"), all_threads=True)
"""


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--keep", type=Path, help="a folder for what each tool printed")
    arguments = parser.parse_args()
    tools = tools_for(arguments.python)
    print("| hang | " + " | ".join(tools) + " |")
    print("| --- |" + " --- |" * len(tools))
    for hang in HANGS:
        said = look_with_all(arguments.python, hang, tools, arguments.keep)
        print(f"| {hang.name} | " + " | ".join(said) + " |", flush=True)


Tool = Callable[[int], str]


def tools_for(python: str) -> dict[str, Tool | None]:
    """Each tool by its name, as a function of a process; ``faulthandler`` is in the process."""

    def of(*command: str) -> Tool:
        return lambda pid: run([*command, str(pid)])

    py_spy = shutil.which("py-spy") or str(Path(sys.executable).with_name("py-spy"))
    pystack = str(Path(sys.executable).with_name("pystack"))
    return {
        "py-spy dump": of(py_spy, "dump", "--pid"),
        "pystack remote": of(pystack, "remote"),
        "faulthandler": None,
        "python -m asyncio pstree": of(python, "-m", "asyncio", "pstree"),
        "deadlock-matrix inspect": of(sys.executable, "-m", "deadlock_matrix", "inspect"),
    }


def run(command: list[str]) -> str:
    """What a command printed; nothing where it does not exist."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"cannot be run: {error}"
    return done.stdout + done.stderr


def look_with_all(
    python: str, hang: Hang, tools: dict[str, Tool | None], keep: Path | None
) -> list[str]:
    """What each tool says of one program.

    ``faulthandler`` gets a run of its own: it catches a signal, which other tools take note of.
    """
    said = []
    with tempfile.TemporaryDirectory() as folder:
        dump = Path(folder, "dump")
        with hung(python, folder, hang.source) as pid:
            texts = {name: tool(pid) for name, tool in tools.items() if tool is not None}
        with hung(python, folder, DUMPS.format(dump=str(dump)) + hang.source) as pid:
            os.kill(pid, signal.SIGUSR1)
            time.sleep(0.5)
            texts["faulthandler"] = dump.read_text()
    for name in tools:
        if keep is not None:
            keep.mkdir(parents=True, exist_ok=True)
            file = re.sub(r"\W+", "-", f"{hang.name} {name}").strip("-") + ".txt"
            (keep / file).write_text(texts[name])
        said.append(verdict(hang, texts[name]))
    return said


@contextmanager
def hung(python: str, folder: str, source: str) -> Iterator[int]:
    """A program that hangs, after two seconds."""
    program = Path(folder, "program.py")
    program.write_text(HEAD + source)
    process = subprocess.Popen(
        [python, str(program)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        time.sleep(2)
        yield process.pid
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def verdict(hang: Hang, text: str) -> str:
    """In a few words: the cause, stacks alone, or nothing."""
    if all(re.search(pattern, text, re.DOTALL) for pattern in hang.cause):
        return hang.told or text.partition(":")[0]
    return "stacks" if re.search(hang.line, text) else "nothing"


if __name__ == "__main__":
    main()
