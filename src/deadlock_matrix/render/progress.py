"""One line that says how far a run is."""

from __future__ import annotations

import msgspec

from deadlock_matrix.diagnosis.text import seconds


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """Counts of cells, controls included. ``elapsed_s`` runs from the first cell's start."""

    done: int
    running: int
    hung: int
    planned: int
    elapsed_s: float

    @property
    def left_s(self) -> float | None:
        """Seconds left if cells go on as they did so far; ``None`` before the first is done."""
        if not self.done:
            return None
        return self.elapsed_s / self.done * max(self.planned - self.done, 0)


def progress_line(progress: Progress) -> str:
    """Return ``12/44 cells done, 2 running, 1 hung, about 3 min left``, which fits 60 columns."""
    parts = [f"{progress.done}/{progress.planned} cells done", f"{progress.running} running"]
    parts.append(f"{progress.hung} hung")
    if progress.left_s is not None:
        parts.append(f"about {_coarse(progress.left_s)} left")
    return ", ".join(parts)


def _coarse(left_s: float) -> str:
    """Round to seconds below two minutes and to whole minutes above: it is an estimate."""
    return f"{round(left_s)} s" if left_s < 120 else seconds(round(left_s / 60) * 60)
