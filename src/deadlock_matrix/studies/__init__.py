"""The available studies: those that come with the tool, and those installed beside it.

A distribution that has a study names it as an entry point:

    [project.entry-points."deadlock_matrix.studies"]
    mine = "my_package.study:STUDY"
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points

from deadlock_matrix.diagnosis.study.study import Study
from deadlock_matrix.errors import ConfigurationError

GROUP = "deadlock_matrix.studies"

_BUILT_IN = ("numerics", "offline", "splitlearn")


@cache
def load_studies() -> tuple[Study, ...]:
    """Return all studies: the built-in ones first, then the installed ones by name.

    Raises:
        ConfigurationError: An installed one cannot be loaded, or its name is taken.
    """
    built_in = [import_module(f"{__name__}.{name}").STUDY for name in _BUILT_IN]
    installed = sorted(entry_points(group=GROUP), key=lambda each: each.name)
    studies = {study.name: study for study in built_in}
    for point in installed:
        study = _load(point)
        if study.name in studies:
            raise ConfigurationError(f"two studies are called {study.name!r}; uninstall one")
        studies[study.name] = study
    return tuple(studies.values())


def _load(point: EntryPoint) -> Study:
    try:
        study = point.load()
    except Exception as error:  # whatever somebody else's module raises
        reason = f"{type(error).__name__}: {error}"
        raise ConfigurationError(f"the study {point.value} cannot be loaded: {reason}") from error
    if not isinstance(study, Study):
        raise ConfigurationError(f"{point.value} is a {type(study).__name__}, not a Study")
    return study
