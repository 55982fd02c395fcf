"""What may be a Python: the files that python-discovery would ask, without asking any."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deadlock_matrix.interpreters.places import in_order
from deadlock_matrix.model.fact import Known, Unknown, known, unknown

if TYPE_CHECKING:
    from python_discovery import ContentStore, PyInfoCache, PythonInfo

_SOURCE = "python-discovery"
_OWN_QUESTION_S = "5"


def list_candidates(
    variables: Mapping[str, str], folders: Iterable[str] = (), cache: Path | None = None
) -> Known[tuple[str, ...]] | Unknown:
    """Return files with a Python's name on ``PATH``, in the Windows registry and among uv's.

    Args:
        variables: Those of the environment: ``PATH``, and where uv, pyenv, mise and asdf keep
            theirs.
        folders: Searched after those on ``PATH``.
        cache: A folder for what the library remembers: the base of the Python that runs this, and
            more only in a version that has to ask for itself.

    Returns:
        Paths, folder by folder in the order of the search, sorted by name within one. They are only
            candidates: links, wrappers and files that are not Python are among them. Unknown, with
            the reason, if the library failed.
        than candidates: links, wrappers and files that are no Python are among them. Unknown: the
        library failed, and why.
    """
    from python_discovery import DiskCache, PythonInfo

    path = os.pathsep.join([variables.get("PATH", os.defpath), *folders])
    environment = {**variables, "PATH": path}
    kept = DiskCache(cache / _SOURCE) if cache else None
    try:
        PythonInfo.current_system(kept)  # the library cannot do without this answer
        try:
            found = _search(_Notebook(), environment)
        except Exception:  # a version that works differently: see `_Notebook`
            bound = {"PY_DISCOVERY_TIMEOUT": _OWN_QUESTION_S}
            found = _search(_Notebook(asks=True, kept=kept), environment | bound)
    except (OSError, RuntimeError, ValueError) as error:
        return unknown(f"{_SOURCE} failed: {error}")
    return known(_by_folder(found), _SOURCE)


def _search(notebook: _Notebook, environment: Mapping[str, str]) -> list[str]:
    from python_discovery import iter_interpreters

    for _ in iter_interpreters(cache=notebook, env=environment, predicate=notebook.refuse):
        pass
    return notebook.paths


def _by_folder(paths: Iterable[str]) -> tuple[str, ...]:
    # Within a folder the library uses the order of the file system, which is no order.
    folders: dict[str, set[str]] = {}
    for path in paths:
        if not Path(path).is_dir():  # before 1.9.5 the folders themselves are asked, too
            folders.setdefault(str(Path(path).parent), set()).add(path)
    return tuple(path for found in folders.values() for path in sorted(found, key=in_order))


class _Unasked(Exception):
    """Leaves the library's question before it is put."""


class _Notebook:
    """A `python_discovery.PyInfoCache` that notes what the library is about to ask.

    The library has no call that only lists. It asks each candidate itself, twice if need be, and
    silently drops what does not answer; but `identity.identify` has to be the one that asks. The
    library does consult its cache first, by a public protocol: the path, then the lock of the
    path's entry, then the entry. So `py_info` learns every candidate, and a lock that swallows
    `_Unasked` ends the question where the entry would be read: version 1.9.5 sees a candidate
    without an answer, and goes on to the next one. Its walks over PATH, the registry and uv's
    folders stay its own, and nothing private of it is touched.

    Nothing promises that a question may end like this, and earlier versions stumble. Then the
    search is repeated with ``asks``: the library puts its own questions, which takes seconds where
    something hangs, and every candidate is still noted. A unit test, in which no process may start,
    notices when a version needs that.

    The library does not look up what this process already knows, at least itself; that comes to
    `refuse`, which rejects all of it, as the library shows only one of all that share a base.
    """

    def __init__(self, asks: bool = False, kept: PyInfoCache | None = None) -> None:
        self.paths: list[str] = []
        self._asks, self._kept = asks, kept

    def py_info(self, path: Path) -> ContentStore:
        self.paths.append(str(path))
        return self._kept.py_info(path) if self._kept else _Entry(self._asks)

    def py_info_clear(self) -> None:
        """Do nothing: nothing is kept here."""

    def refuse(self, info: PythonInfo) -> bool:
        self.paths += filter(None, (info.executable, info.system_executable))
        return False


class _Entry:
    """A `python_discovery.ContentStore` that is empty, or may not even be looked into."""

    def __init__(self, may_be_read: bool) -> None:
        self._may_be_read = may_be_read

    def exists(self) -> bool:
        if self._may_be_read:
            return False
        raise _Unasked

    def read(self) -> dict[str, Any] | None:
        return None

    def write(self, content: dict[str, Any]) -> None:
        """Do nothing: nothing is kept."""

    def remove(self) -> None:
        """Do nothing: nothing is kept."""

    @contextmanager
    def locked(self) -> Generator[None, None, None]:
        with suppress(_Unasked):
            yield
