"""Where an import spends its time: by module, by line, and which imports are worth putting off."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from math import inf, nextafter

from deadlock_matrix.diagnosis.frames import is_probes, is_users
from deadlock_matrix.diagnosis.imports import imported_module, is_importlib
from deadlock_matrix.diagnosis.stuck import ENTRY, lines_of
from deadlock_matrix.model.diagnosis import ImportTime, LineTime, Sample, SourceLine, Times
from deadlock_matrix.model.frames import PythonFrame

SLOW_S = 2.0
"""An import that takes at least this long is called slow."""

MOST_LINES = 6
LEAST_SHARE = 0.02
MOST_PUT_OFF = 3
WORTH_S = 0.3
WORTH_SHARE = 0.1
SEEN = 3
"""A time with fewer samples is not shown."""


def times_of(samples: Sequence[Sample], seconds: float, own: str = "") -> Times:
    """Add up samples.

    Args:
        samples: Those of one run.
        seconds: How long that run took.
        own: The requested package; see `deadlock_matrix.diagnosis.stuck.lines_of`.
    """
    sampled_s = sum(each.seconds for each in samples)
    number = sum(each.times for each in samples)
    coarse_s = SEEN * sampled_s / number if number else 0.0
    # On a busy machine, one sample may stand for seconds in which nobody looked.
    for each in samples:
        if each.times < SEEN and each.seconds >= coarse_s:
            coarse_s = nextafter(each.seconds, inf)
    return Times(
        seconds=seconds,
        sampled_s=sampled_s,
        coarse_s=coarse_s,
        modules=_modules(samples),
        lines=_lines(samples, own),
    )


def whereabouts(sample: Sample, took_s: float, own: str = "") -> str:
    """Say where a run is now, for whoever waits for it: the user's line, and what it does."""
    lines = lines_of(sample.frames, own)
    where = f" at {lines[-1].file}:{lines[-1].line}" if lines else ""
    return f"{took_s:.0f} s so far; it {_doing(sample)}{where}"


def worth_putting_off(times: Times, own: str) -> tuple[ImportTime, ...]:
    """Return the imports to try lazily: those that take a good part of the time.

    That is the first import on each branch that leads out of the user's own package, or, if none
    does, the one deepest in it that takes most of its branch's time.

    Args:
        times: Those of the run.
        own: The requested package.
    """
    least = max(WORTH_S, times.seconds * WORTH_SHARE, times.coarse_s)
    found: list[ImportTime] = []
    for node in times.modules:
        found += _outside(node, own, least) or _deepest(node, least, top=True)
    found.sort(key=lambda each: -each.total_s)
    return tuple(found[:MOST_PUT_OFF])


def lazily(names: Sequence[str]) -> str:
    """Return code that makes Python import these modules when they are first used."""
    return f"""\
import importlib.util, sys
class Lazily:
    names = {set(names)!r}
    def find_spec(self, name, path=None, target=None):
        if name not in self.names:
            return None
        self.names.discard(name)
        for finder in sys.meta_path:
            spec = None if finder is self else finder.find_spec(name, path, target)
            if spec is not None:
                if spec.loader is not None:
                    spec.loader = importlib.util.LazyLoader(spec.loader)
                return spec
sys.meta_path.insert(0, Lazily())
"""


def _modules(samples: Iterable[Sample]) -> tuple[ImportTime, ...]:
    total: dict[tuple[str, ...], float] = {}
    own: dict[tuple[str, ...], float] = {}
    importers: dict[tuple[str, ...], SourceLine | None] = {}
    for sample in samples:
        steps = list(_chain(sample.frames))
        path: tuple[str, ...] = ()
        for name, importer in steps:
            path = (*path, name)
            total[path] = total.get(path, 0.0) + sample.seconds
            importers.setdefault(path, importer)
        if path:
            own[path] = own.get(path, 0.0) + sample.seconds

    def below(parent: tuple[str, ...]) -> tuple[ImportTime, ...]:
        paths = [each for each in total if each[:-1] == parent]
        return tuple(
            ImportTime(
                module=path[-1],
                importer=importers[path],
                total_s=total[path],
                own_s=own.get(path, 0.0),
                children=below(path),
            )
            for path in sorted(paths, key=lambda each: -total[each])
        )

    return below(())


def _chain(frames: Sequence[PythonFrame]) -> Iterator[tuple[str, SourceLine | None]]:
    """Yield the imports under way with the lines that request them, outermost first.

    For ``import a.b``, Python imports ``a`` from inside the import of ``a.b``: there only ``a`` is
    under way.
    """
    steps: list[tuple[str, SourceLine | None]] = []
    importer: SourceLine | None = None
    between = True
    for frame in frames:
        if is_probes(frame):
            continue
        if not is_importlib(frame):
            between = True
            importer = SourceLine(file=frame.file, line=frame.line, function=frame.function)
        elif name := imported_module(frame):
            if not between and steps and steps[-1][0].startswith(f"{name}."):
                steps.pop()
            steps.append((name, importer))
            between = False
    return iter(steps)


def _lines(samples: Iterable[Sample], own_package: str) -> tuple[LineTime, ...]:
    own: dict[tuple[str, int, str], float] = {}
    functions: dict[tuple[str, int, str], str] = {}
    for sample in samples:
        lines = lines_of(sample.frames, own_package)
        frames = [each for each in sample.frames if not is_probes(each)]
        users = [each for each in frames if is_users(each) and each.file != ENTRY]
        if not lines and not users:
            continue
        line = lines[-1]
        key = (line.file, line.line, _doing(sample))
        functions.setdefault(key, line.function)
        own[key] = own.get(key, 0.0) + sample.seconds
    whole = sum(own.values())
    ranked = sorted(own.items(), key=lambda item: -item[1])[:MOST_LINES]
    return tuple(
        LineTime(
            line=SourceLine(file=key[0], line=key[1], function=functions[key]),
            doing=key[2],
            seconds=taken,
        )
        for key, taken in ranked
        if taken >= whole * LEAST_SHARE
    )


def _doing(sample: Sample) -> str:
    if sample.detail:
        return f"waits for {sample.detail}"
    return "waits" if sample.call else "computes"


def _outside(node: ImportTime, own: str, least: float) -> list[ImportTime]:
    if node.total_s < least:
        return []
    if node.module.partition(".")[0] != own:
        return [node]
    return [each for child in node.children for each in _outside(child, own, least)]


def _deepest(node: ImportTime, least: float, *, top: bool = False) -> list[ImportTime]:
    heavy = [each for child in node.children for each in _deepest(child, least)]
    return heavy or ([node] if node.total_s >= least and not top else [])
