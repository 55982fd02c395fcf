"""The worker's side of a Dask cluster: one process that runs cells until it is told to stop."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
from typing import Any

import dask
import msgspec
from distributed import Security, Worker, get_worker
from distributed.utils import sync

from deadlock_matrix.errors import RunError
from deadlock_matrix.grid.announcement import Announcement
from deadlock_matrix.grid.cell_host import CellHost
from deadlock_matrix.grid.parcel import LAYOUTS, STARTED, Order

ANNOUNCED = "deadlock_matrix"
"""The key under which a scheduler has a worker's announcement."""

SETTINGS = {
    # A machine that is cut off for less than this loses nothing.
    "distributed.comm.timeouts.tcp": "90s",
    "distributed.comm.timeouts.connect": "10s",
    "distributed.worker.profile.enabled": False,
    "distributed.admin.system-monitor.gil.enabled": False,
}
_AGAIN_AFTER_S = 1.0

_host: CellHost | None = None


def run_order(order: bytes) -> bytes:
    """Run one cell that a scheduler sends, and return its `Delivery`."""
    if _host is None:
        raise RunError("this worker was not started by 'deadlock-matrix worker'")
    worker = get_worker()
    wanted = msgspec.json.decode(order, type=Order)
    worker.log_event(STARTED, {"session": wanted.session, "cell": wanted.cell.id})

    def fetch(digest: str) -> bytes:
        keys = [LAYOUTS, digest]
        content = sync(worker.loop, worker.scheduler.get_metadata, keys=keys, default=None)
        if content is None:
            raise RunError(f"the scheduler no longer has layout {digest}")
        return bytes(content)

    return msgspec.json.encode(_host.run(wanted, fetch))


def give_up(session: str) -> None:
    """End the cells of a coordinator that ends early."""
    if _host is not None:
        _host.give_up(session)


def serve(host: CellHost, scheduler: str, name: str, security: Security | None) -> None:
    """Serve until SIGINT or SIGTERM; rejoin whenever the connection is lost."""
    global _host
    _host = host
    with dask.config.set(SETTINGS):
        asyncio.run(_serve(host, scheduler, name, security))


async def _serve(host: CellHost, scheduler: str, name: str, security: Security | None) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    announced = msgspec.json.encode(host.announce()).decode()
    stopping = asyncio.ensure_future(stop.wait())
    told = ""
    while not stop.is_set():
        joining = asyncio.ensure_future(_join(host, scheduler, name, security, announced))
        await asyncio.wait((joining, stopping), return_when=asyncio.FIRST_COMPLETED)
        if not joining.done():
            joining.cancel()
            await asyncio.wait((joining,), timeout=5)
            break
        error = joining.exception()
        if error is not None and str(error) != told:
            told = str(error)
            print(f"deadlock-matrix: {told or type(error).__name__}", file=sys.stderr, flush=True)
        if not stop.is_set():
            await asyncio.wait((stopping,), timeout=_AGAIN_AFTER_S)


async def _join(
    host: CellHost, scheduler: str, name: str, security: Security | None, announced: str
) -> None:
    """Be a worker of the cluster until the connection is lost."""
    logging.getLogger("distributed").setLevel(logging.ERROR)
    options: dict[str, Any] = {} if security is None else {"security": security}
    worker = Worker(
        scheduler,
        nthreads=host.jobs,
        resources=dict.fromkeys(host.labels, host.jobs),
        name=name or None,
        startup_information={ANNOUNCED: lambda worker: announced},
        memory_limit=0,  # its cells are separate processes
        dashboard=False,
        **options,
    )
    try:
        await worker
        print(f"deadlock-matrix: {worker.address} serves {scheduler}", file=sys.stderr, flush=True)
        await worker.finished()
    finally:
        await worker.close(timeout=2, executor_wait=False)


def announcement_of(extra: object) -> Announcement | None:
    """Return what a worker announced, from the scheduler's data; ``None`` for another worker."""
    if not isinstance(extra, str):
        return None
    try:
        return msgspec.json.decode(extra, type=Announcement)
    except msgspec.DecodeError:
        return None
