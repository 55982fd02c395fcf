"""The coordinator's side of a Dask cluster: hands out cells, and takes results as they come."""

from __future__ import annotations

import queue
import secrets
import time
from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import dask
import msgspec
from distributed import Client, Future, Security
from distributed.scheduler import KilledWorker

from deadlock_matrix.errors import ConfigurationError, RunError, Unavailable
from deadlock_matrix.grid.announcement import Announcement, Planned, machine_name
from deadlock_matrix.grid.dask_worker import (
    ANNOUNCED,
    SETTINGS,
    announcement_of,
    give_up,
    run_order,
)
from deadlock_matrix.grid.engine import Finished, Started
from deadlock_matrix.grid.parcel import LAYOUTS, STARTED, Delivery, Order, pack_layout
from deadlock_matrix.grid.room import Room
from deadlock_matrix.matrix.expansion import unavailable_reason
from deadlock_matrix.model.cell import Cell
from deadlock_matrix.model.observation import CellResult
from deadlock_matrix.model.report import Host
from deadlock_matrix.run.cell import unavailable

LOOK_EVERY_S = 1.0


class Cluster:
    """A connection to a scheduler, and what its workers announce."""

    def __init__(
        self, address: str, security: Security | None = None, timeout_s: float = 30.0
    ) -> None:
        """Connect.

        Raises:
            Unavailable: Nobody answers there, or refuses us.
        """
        dask.config.set(SETTINGS)
        options: dict[str, Any] = {} if security is None else {"security": security}
        try:
            self.client = Client(address, timeout=timeout_s, set_as_default=False, **options)
        except (OSError, TimeoutError, ValueError, TypeError) as error:
            raise Unavailable(f"no scheduler answers at {address}: {error}") from error

    def announcements(self) -> dict[str, Announcement]:
        """Return the announcement of each present worker, by its address."""
        workers = self.client.scheduler_info(n_workers=-1)["workers"]
        found = {
            address: announcement_of(worker.get(ANNOUNCED)) for address, worker in workers.items()
        }
        return {address: each for address, each in found.items() if each is not None}

    def wait_for_workers(self, within_s: float) -> tuple[Announcement, ...]:
        """Return what the workers announce, as soon as there are any.

        Raises:
            Unavailable: There is none in time.
        """
        end = time.monotonic() + within_s
        while not (found := self.announcements()):
            if time.monotonic() >= end:
                raise Unavailable(
                    f"no worker has joined within {within_s:g} s: start 'deadlock-matrix worker'"
                )
            time.sleep(0.2)
        return tuple(found.values())

    def close(self) -> None:
        """Disconnect."""
        self.client.close(timeout=5)


class DaskEngine:
    """See `grid.engine.Engine`.

    It hands out only as many cells as the present workers can run now, and a few more. So workers
    that join later have something to do, and a lost one takes little with it.

    Attributes:
        machines: Those that have delivered results, by their names in results.
        again: How often a cell was restarted because its worker was lost.
    """

    def __init__(
        self,
        cluster: Cluster,
        planned: Mapping[str, Planned],
        run: str,
        cache: Path,
        *,
        include_host: bool = False,
        wait_s: float = 60.0,
    ) -> None:
        """Prepare.

        Args:
            cluster: Where the workers are.
            planned: The interpreters by name.
            run: The run's name.
            cache: Where layouts are assembled.
            include_host: Whether results may contain private names.
            wait_s: Seconds that a lost interpreter may take to come back.
        """
        self._cluster = cluster
        self._planned = planned
        self._run = run
        self._cache = cache
        self._include_host = include_host
        self._wait_s = wait_s
        self._session = secrets.token_hex(8)
        self._told: queue.SimpleQueue[Started | tuple[str, Future]] = queue.SimpleQueue()
        self._names: dict[str, str] = {}
        self._waiting: dict[str, deque[Cell]] = defaultdict(deque)
        self._out: dict[str, tuple[Cell, Future]] = {}
        self._workers: list[tuple[frozenset[str], int]] = []
        self._seen: dict[str, float] = {}
        self._layouts: dict[tuple[str, ...], str] = {}
        self._starts: Counter[str] = Counter()
        self._closed = False
        self.machines: dict[str, Host] = {}

    @property
    def again(self) -> int:
        """How many starts were not the first of their cell."""
        return sum(self._starts.values()) - len(self._starts)

    def run(self, cells: Sequence[Cell]) -> Iterator[Started | Finished]:
        """See `Engine.run`."""
        client = self._cluster.client
        client.subscribe_topic(STARTED, self._note_start)
        for cell in cells:
            planned = self._planned[cell.interpreter.name]
            reason = unavailable_reason(cell, planned.facts.fingerprint)
            if reason is not None:
                yield Finished(cell.id, unavailable(cell, reason))
                continue
            self._waiting[planned.label].append(cell)
            self._seen[planned.label] = time.monotonic()
        look_at = 0.0
        while self._out or any(self._waiting.values()):
            if time.monotonic() >= look_at:
                yield from self._look()
                look_at = time.monotonic() + LOOK_EVERY_S
            yield from self._hand_out()
            try:
                told = self._told.get(timeout=LOOK_EVERY_S / 2)
            except queue.Empty:
                continue
            if isinstance(told, Started):
                if told.cell in self._out:
                    yield told
            elif told[0] in self._out:
                yield self._take(*told)

    def close(self) -> None:
        """See `Engine.close`."""
        if self._closed:
            return
        self._closed = True
        client = self._cluster.client
        if self._out and client.status == "running":
            client.cancel([future for _, future in self._out.values()])
            client.run(give_up, self._session, on_error="ignore")
        self._cluster.close()

    def _look(self) -> Iterator[Finished]:
        """See who is there; give up the cells of an interpreter that has been away for too long."""
        there = self._cluster.announcements().values()
        self._workers = [
            (frozenset(offer.label for offer in each.offers), each.jobs) for each in there
        ]
        offered = frozenset[str]().union(*(labels for labels, _ in self._workers))
        self._meet(there)
        now = time.monotonic()
        for label, seen in self._seen.items():
            if label in offered:
                self._seen[label] = now
            elif now > seen + self._wait_s:
                yield from self._give_up(label)

    def _give_up(self, label: str) -> Iterator[Finished]:
        lost = [cell for cell, _ in self._out.values() if self._label(cell) == label]
        futures = [self._out.pop(cell.id)[1] for cell in lost]
        if futures:
            self._cluster.client.cancel(futures)
        lost += self._waiting.pop(label, ())
        why = f"no worker has had its interpreter for {self._wait_s:g} s"
        for cell in lost:
            yield Finished(cell.id, unavailable(cell, why))

    def _hand_out(self) -> Iterator[Finished]:
        room = Room(self._workers)
        for cell, _ in self._out.values():
            room.take(self._label(cell))
        open_ = {label: cells for label, cells in self._waiting.items() if cells}
        while open_:
            for label, cells in list(open_.items()):  # one of each in turn: nobody has to wait long
                if not cells or not room.take(label):
                    del open_[label]
                    continue
                cell = cells.popleft()
                try:
                    self._submit(cell, label, self._ship(cell.layout.overlays))
                except (ConfigurationError, Unavailable) as error:  # in the words of a local run
                    yield Finished(cell.id, unavailable(cell, str(error)))

    def _submit(self, cell: Cell, label: str, layout: str) -> None:
        order = Order(
            session=self._session,
            cell=cell,
            label=label,
            layout=layout,
            include_host=self._include_host,
        )
        future = self._cluster.client.submit(
            run_order,
            msgspec.json.encode(order),
            key=f"{self._session}/{cell.id}",
            pure=False,
            resources={label: 1},
        )
        self._out[cell.id] = (cell, future)
        future.add_done_callback(lambda done: self._told.put((cell.id, done)))

    def _ship(self, overlays: tuple[str, ...]) -> str:
        """Leave a layout with the scheduler, once, and return its digest."""
        if not overlays:
            return ""
        if overlays not in self._layouts:
            digest, content = pack_layout(overlays, self._cache)
            self._cluster.client.set_metadata([LAYOUTS, digest], content)
            self._layouts[overlays] = digest
        return self._layouts[overlays]

    def _take(self, id_: str, future: Future) -> Finished:
        cell, _ = self._out.pop(id_)
        try:
            delivery = msgspec.json.decode(future.result(), type=Delivery)
        except KilledWorker as error:
            why = f"it was given up: {error.args[2] + 1} workers were lost while they ran it"
            return Finished(id_, unavailable(cell, why))
        except Exception as error:  # of whatever type the worker's was
            return Finished(id_, RunError(f"{id_} could not be run: {error}"))
        finally:
            future.release()
        return Finished(id_, self._signed(delivery))

    def _signed(self, delivery: Delivery) -> CellResult:
        if delivery.key not in self._names:  # it has joined since the last look, or is gone again
            self._meet(self._cluster.announcements().values())
        name = self._names.get(delivery.key, "")
        return msgspec.structs.replace(delivery.result, machine=name)

    def _meet(self, announcements: Iterable[Announcement]) -> None:
        for each in announcements:
            self.machines.setdefault(self._name(each), each.host)

    def _note_start(self, event: tuple[float, Any]) -> None:
        _, told = event
        if isinstance(told, dict) and told.get("session") == self._session:
            self._starts[told["cell"]] += 1
            self._told.put(Started(told["cell"]))

    def _label(self, cell: Cell) -> str:
        return self._planned[cell.interpreter.name].label

    def _name(self, announcement: Announcement) -> str:
        name = machine_name(self._run, announcement, include_host=self._include_host)
        self._names[announcement.key] = name
        return name
