"""A machine that runs cells for others: what it has, and a workspace for each of its slots."""

from __future__ import annotations

import hashlib
import os
import platform
import queue
import shutil
import socket
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec

from deadlock_matrix import __version__
from deadlock_matrix.errors import RunError
from deadlock_matrix.grid.announcement import Announcement, Offer, label_of
from deadlock_matrix.grid.parcel import Delivery, Order, unpack_layout
from deadlock_matrix.interpreters.identity import identify
from deadlock_matrix.matrix.contents import content_key, contents
from deadlock_matrix.model.cell import Cell, Interpreter
from deadlock_matrix.model.observation import CellResult
from deadlock_matrix.report.host import describe_host
from deadlock_matrix.report.private import make_redaction
from deadlock_matrix.run.cell import run_cell
from deadlock_matrix.run.environment import RECORDED_PREFIXES
from deadlock_matrix.run.workspace import Workspace

COMPILERS = ("cc", "gcc", "clang")


class CellHost:
    """Workspaces for a number of cells at once. Close it, or its helpers stay."""

    def __init__(
        self,
        interpreters: Sequence[Interpreter],
        jobs: int,
        cache: Path,
        scratch: Path,
        name: str = "",
    ) -> None:
        """Ask each interpreter what it is.

        Args:
            interpreters: Those of this machine.
            jobs: How many cells it may run at once.
            cache: As in `Workspace`.
            scratch: As in `Workspace`.
            name: What the machine is called; by default its host name.
        """
        self.jobs = jobs
        self._cache = cache
        self._name = name or socket.gethostname()
        self._host = describe_host()
        with ThreadPoolExecutor(max_workers=2) as pool:
            facts = list(pool.map(lambda each: identify(each, cache, measure=True), interpreters))
        self._offers = {
            label_of(each, self._host): (interpreter, each)
            for interpreter, each in zip(interpreters, facts, strict=True)
        }
        self._workspaces = [Workspace(cache, scratch / str(number)) for number in range(jobs)]
        self._free: queue.SimpleQueue[Workspace] = queue.SimpleQueue()
        for workspace in self._workspaces:
            self._free.put(workspace)
        self._contents: dict[str, str] = {}
        self._lock = threading.Lock()
        self._running: dict[Workspace, str] = {}

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels of its interpreters."""
        return tuple(self._offers)

    def announce(self) -> Announcement:
        """Return what it can run."""
        private = tuple(
            Offer(label=label, interpreter=interpreter, facts=facts)
            for label, (interpreter, facts) in self._offers.items()
        )
        redaction = make_redaction(None)
        environment = {
            name: value for name, value in os.environ.items() if name.startswith(RECORDED_PREFIXES)
        }
        return Announcement(
            tool=__version__,
            name=self._name,
            key=_key(self._name),
            host=self._host,
            jobs=self.jobs,
            compiler=next((each for each in COMPILERS if shutil.which(each)), ""),
            offers=redaction.apply(private),
            private_offers=private,
            environment=redaction.apply(environment),
        )

    def run(self, order: Order, fetch: Callable[[str], bytes]) -> Delivery:
        """Run a cell, and remove from its result what is private here.

        Args:
            order: The cell.
            fetch: Returns a layout's archive, by its digest.

        Raises:
            RunError: The harness failed, or the cell was given up.
        """
        if order.label not in self._offers:
            raise RunError(f"this worker has no interpreter {order.label}")
        interpreter, facts = self._offers[order.label]
        here = msgspec.structs.replace(interpreter, name=order.cell.interpreter.name)
        layout = order.cell.layout
        if order.layout:
            folder = self._cache / "layouts" / order.layout
            if not folder.is_dir():
                folder = unpack_layout(order.layout, fetch(order.layout), self._cache)
            layout = msgspec.structs.replace(layout, overlays=(str(folder),))
        cell = msgspec.structs.replace(order.cell, interpreter=here, layout=layout)
        workspace = self._free.get()
        self._running[workspace] = order.session
        try:
            result = run_cell(cell, workspace, facts.fingerprint)
        finally:
            self._running.pop(workspace, None)
            self._free.put(workspace)
        result = msgspec.structs.replace(result, content=order.layout or self._content(cell))
        redaction = make_redaction(None, include_host=order.include_host)
        return Delivery(key=_key(self._name), result=_as_ordered(redaction.apply(result), order))

    def give_up(self, session: str) -> None:
        """End the cells of a coordinator that no longer wants them."""
        for workspace, of in list(self._running.items()):
            if of == session:
                workspace.discard_supervisor()

    def close(self) -> None:
        """End all helpers, and with them every probe."""
        for workspace in self._workspaces:
            workspace.close()

    def _content(self, cell: Cell) -> str:
        key = f"{cell.interpreter.executable} {cell.layout.overlays} {content_key(cell)}"
        with self._lock:
            if key not in self._contents:
                self._contents[key] = contents([cell]).get(content_key(cell), "")
            return self._contents[key]


def _as_ordered(result: CellResult, order: Order) -> CellResult:
    """Return the result with the coordinator's cell, except for the path by which it was run."""
    interpreter = msgspec.structs.replace(
        order.cell.interpreter, executable=result.cell.interpreter.executable
    )
    cell = msgspec.structs.replace(order.cell, interpreter=interpreter)
    return msgspec.structs.replace(result, cell=cell)


def _key(name: str) -> str:
    text = f"{name}\n{platform.node()}\n{_machine_id()}"
    return hashlib.sha256(text.encode()).hexdigest()


def _machine_id() -> str:
    try:
        return Path("/etc/machine-id").read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return ""
