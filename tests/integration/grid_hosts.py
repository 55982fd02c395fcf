"""Hosts of a grid: network namespaces on one bridge, each with a worker and interpreters."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

SCHEDULER = "10.199.77.1"
PORT = 8786


def why_not() -> str:
    """Why there can be no namespaces here; empty: there can."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "network namespaces need root on Linux"
    if shutil.which("ip") is None:
        return "ip(8) of iproute2 is not installed"
    name = f"dm-try-{secrets.token_hex(3)}"
    made = subprocess.run(["ip", "netns", "add", name], capture_output=True, text=True)
    if made.returncode:
        return f"no network namespace can be made: {made.stderr.strip()}"
    subprocess.run(["ip", "netns", "del", name], check=True)
    return ""


def ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True, timeout=30)


class Network:
    """A namespace with a bridge for scheduler and coordinator, and one for each host."""

    def __init__(self, hosts: Sequence[str]) -> None:
        self.mark = secrets.token_hex(2)
        self.centre = f"dm{self.mark}-s"
        self.hosts = {name: f"dm{self.mark}-{name}" for name in hosts}

    def build(self) -> None:
        ip("netns", "add", self.centre)
        ip("-n", self.centre, "link", "set", "lo", "up")
        ip("-n", self.centre, "link", "add", "bridge", "type", "bridge")
        ip("-n", self.centre, "addr", "add", f"{SCHEDULER}/24", "dev", "bridge")
        ip("-n", self.centre, "link", "set", "bridge", "up")
        for number, (name, space) in enumerate(self.hosts.items(), start=2):
            ip("netns", "add", space)
            link = f"to-{name}"
            ip("link", "add", link, "netns", self.centre, "type", "veth", "peer", "eth0", "netns",
               space)  # fmt: skip
            ip("-n", self.centre, "link", "set", link, "master", "bridge", "up")
            ip("-n", space, "addr", "add", f"10.199.77.{number}/24", "dev", "eth0")
            ip("-n", space, "link", "set", "eth0", "up")
            ip("-n", space, "link", "set", "lo", "up")

    def cut(self, name: str) -> None:
        ip("-n", self.centre, "link", "set", f"to-{name}", "down")

    def mend(self, name: str) -> None:
        ip("-n", self.centre, "link", "set", f"to-{name}", "up")

    def remove(self) -> None:
        for space in (self.centre, *self.hosts.values()):
            subprocess.run(["ip", "netns", "del", space], capture_output=True, timeout=30)


class Grid:
    """Processes in the namespaces; all are ended at the end."""

    def __init__(self, folder: Path, network: Network | None) -> None:
        self.folder = folder
        self.network = network
        self.processes: list[subprocess.Popen[bytes]] = []

    def start(self, host: str, name: str, *command: str) -> subprocess.Popen[bytes]:
        """Run a command of this interpreter on a host; '' is where the scheduler is."""
        before: tuple[str, ...] = ()
        if self.network is not None:
            space = self.network.hosts[host] if host else self.network.centre
            before = ("ip", "netns", "exec", space)
        cache = self.folder / f"cache-{host or 'centre'}"
        log = self.folder / f"{name}.log"
        with log.open("ab") as out:
            process = subprocess.Popen(
                [*before, sys.executable, *command],
                cwd=self.folder,
                env={**os.environ, "DEADLOCK_MATRIX_CACHE": str(cache)},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
            )
        self.processes.append(process)
        return process

    def scheduler(self, *options: str, address: str = SCHEDULER) -> subprocess.Popen[bytes]:
        return self.start(
            "", "scheduler", "-m", "distributed.cli.dask_scheduler", "--host", address,
            "--port", str(PORT), "--no-dashboard", *options,
        )  # fmt: skip

    def log(self, name: str) -> str:
        path = self.folder / f"{name}.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def close(self) -> None:
        for process in reversed(self.processes):
            process.terminate()
        end = time.monotonic() + 15
        for process in self.processes:
            try:
                process.wait(max(0.1, end - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@contextmanager
def grid(folder: Path, hosts: Sequence[str]) -> Iterator[Grid]:
    network = Network(hosts)
    try:
        network.build()
        made = Grid(folder, network)
        try:
            yield made
        finally:
            made.close()
    finally:
        network.remove()


def make_interpreter(folder: Path, distribution: str) -> Path:
    """A virtual environment that has one distribution by which it is told from others."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    (packages,) = folder.glob("lib/python*/site-packages")
    metadata = packages / f"{distribution}-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n"
    )
    return folder / "bin" / "python"


def journal_ids(folder: Path) -> Counter[str]:
    """How many results each cell has."""
    counts: Counter[str] = Counter()
    for path in (folder / "journal").glob("*.jsonl"):
        for line in path.read_bytes().splitlines():
            try:
                cell = json.loads(line)["cell"]
            except ValueError:
                continue  # cut by a kill
            axes = ("interpreter", "profile", "layout", "entry", "context")
            names = "/".join(cell[axis]["name"] for axis in axes)
            counts[f"{cell.get('role')} {names} #{cell.get('repeat', 1)}"] += 1
    return counts


def wait_for(
    happened: Callable[[], bool], process: subprocess.Popen[bytes], within_s: float = 240
) -> None:
    end = time.monotonic() + within_s
    while not happened():
        assert process.poll() is None, "it ended early"
        assert time.monotonic() < end, "it takes too long"
        time.sleep(0.05)
