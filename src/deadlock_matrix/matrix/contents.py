"""The content of the code under test, as a digest: two runs of the same content are comparable.

A layout's content is that of the files it is assembled from. Without a layout it is that of the
package that the interpreter finds by itself, wherever that is. So an edit to a package installed in
place (``pip install -e``) changes the content although its version stays.
"""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from deadlock_matrix.errors import ConfigurationError
from deadlock_matrix.interpreters.bounded import run_bounded
from deadlock_matrix.interpreters.question import clean_environment
from deadlock_matrix.matrix.layouts import content_digest
from deadlock_matrix.model.cell import Cell, Interpreter

DEADLINE_S = 20.0
MOST_BYTES = 256 << 20
_ELSEWHERE = ("PYTHONPATH", "PYTHONHOME", "PYTHONUSERBASE")
_AT_ONCE = 4

# Run by the interpreter under test, Python 3.8 or later. Finding a top-level package executes
# nothing of it.
_SCRIPT = r"""
import hashlib, importlib.util, os, sys
name, most = sys.argv[1], int(sys.argv[2])
sys.path[:] = [path for path in sys.path if path]
spec = importlib.util.find_spec(name)
places = list(spec.submodule_search_locations or [spec.origin]) if spec else []
digest, total = hashlib.sha256(), 0
for number, place in enumerate(places):
    files = [place] if os.path.isfile(place) else sorted(
        os.path.join(root, file)
        for root, folders, files in os.walk(place)
        if os.path.basename(root) != "__pycache__"
        for file in files
    )
    for path in files:
        total += os.path.getsize(path)
        if total > most:
            sys.exit(0)
        with open(path, "rb") as file:
            content = file.read()
        place_in = os.path.relpath(path, place) if path != place else os.path.basename(path)
        digest.update(b"%d %d %d " % (number, len(place_in), len(content)))
        digest.update(os.fsencode(place_in) + content)
sys.stdout.write("\n" + (digest.hexdigest()[:16] if spec else "none") + "\n")
"""


def content_key(cell: Cell) -> str:
    """Return the key under which `contents` has a cell's content; equal keys share it."""
    return f"{cell.interpreter.name}/{cell.target}/{cell.layout.name}"


def contents(cells: Iterable[Cell]) -> dict[str, str]:
    """Return the digest of the content of each cell, by `content_key`.

    It is empty if unknown: a layout that is missing, an interpreter that does not answer, a package
    of more than 256 MiB.
    """
    wanted = {content_key(cell): cell for cell in cells}
    found: dict[tuple[str, ...], str] = {}
    questions: dict[tuple[str, str, str], Interpreter] = {}
    for cell in wanted.values():
        overlays = cell.layout.overlays
        if overlays and overlays not in found:
            found[overlays] = _of_overlays(overlays)
        elif not overlays and not cell.interpreter.unavailable:
            questions[_question(cell)] = cell.interpreter
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        answers = pool.map(lambda item: _of_package(item[1], item[0][2]), questions.items())
        found |= dict(zip(questions, answers, strict=True))
    return {
        key: found.get(cell.layout.overlays or _question(cell), "") for key, cell in wanted.items()
    }


def searches_elsewhere(cell: Cell) -> bool:
    """Return whether a cell's own variables say where modules are, so its content is unknown."""
    return any(name in cell.profile.set or name in cell.interpreter.set for name in _ELSEWHERE)


def _question(cell: Cell) -> tuple[str, str, str]:
    interpreter = cell.interpreter
    return interpreter.executable, repr(sorted(interpreter.set.items())), _package(cell.target)


def _package(target: str) -> str:
    return target.partition(".")[0]


def _of_overlays(overlays: tuple[str, ...]) -> str:
    try:
        return content_digest([Path(overlay) for overlay in overlays])
    except (ConfigurationError, OSError):
        return ""


def _of_package(interpreter: Interpreter, name: str) -> str:
    command = [interpreter.executable, "-c", _SCRIPT, name, str(MOST_BYTES)]
    environment = clean_environment() | interpreter.set
    try:
        ended = run_bounded(command, environment, DEADLINE_S)
    except (OSError, ValueError):
        return ""
    lines = ended.said.split()
    return lines[-1] if ended.in_time and ended.status == 0 and lines else ""
