"""The explanation of a hang: in the failure, in files beside it, in the summary of a CI job."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from deadlock_matrix.errors import DeadlockMatrixError
from deadlock_matrix.model.fact import Known
from deadlock_matrix.pytest_plugin.guard.hang import LIKELY, LIMIT, PROVED, Hang
from deadlock_matrix.pytest_plugin.guard.left import SUFFIX, note_hang

if TYPE_CHECKING:
    from deadlock_matrix.model.inspection import Inspection

IN_SETUP = "in the setup of"


def headline(hang: Hang) -> str:
    """Return how sure it is, who waits for what, and who holds that: most when it is cut off."""
    title = {
        PROVED: "deadlock",
        LIKELY: "likely deadlock",
    }.get(hang.strength, f"hang: nothing has moved for {hang.asleep_s:.0f} s")
    return f"{title}: {_what_is_stuck(hang)}"


def place(hang: Hang) -> str:
    """Return in which test, or where else, and in which process that is."""
    return f"{hang.position} (pytest process {hang.pid})"


def describe(hang: Hang, folder: Path) -> str:
    """Return the whole text: the headline, what ``inspect`` would print, and the file beside it.

    That file contains what was seen, as ``inspect --json`` prints it, without private data.
    """
    from deadlock_matrix.render.inspection import View, inspection_text

    told = f"{headline(hang)}\n{place(hang)}"
    found = _inspection(hang)
    if found is None:
        return told
    return f"{told}\n\n{inspection_text(found, View(hint=False))}\n\n{_keep(hang, found, folder)}"


def _what_is_stuck(hang: Hang) -> str:
    from deadlock_matrix.render.in_brief import in_brief

    found = _inspection(hang)
    unread = hang.unread.rstrip(".")
    if found is None:
        return f"what it waits for is not known: {unread}"
    brief = in_brief(found)
    is_all = not unread or hang.strength != LIMIT
    return brief if is_all else f"{brief}; more is not known: {unread}"


def _inspection(hang: Hang) -> Inspection | None:
    from deadlock_matrix.app.inspection import of_process

    if hang.seen is None:
        return None
    evidence, judgement = hang.seen
    return of_process(hang.pid, judgement, evidence)


def _keep(hang: Hang, found: Inspection, folder: Path) -> str:
    """Write the evidence; return where it is."""
    import msgspec

    from deadlock_matrix.report.files import write_atomically
    from deadlock_matrix.report.private import make_redaction

    name = re.sub(r"[^\w.-]+", "-", hang.position.test or hang.position.doing).strip("-")[-100:]
    path = folder / f"{name}-{hang.pid}.json"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        public = make_redaction(None, include_host=False).apply(found)
        write_atomically(path, msgspec.json.format(msgspec.json.encode(public), indent=1))
    except (OSError, DeadlockMatrixError) as error:
        return f"the evidence could not be written: {error}"
    return f"evidence: {path}"


def leave(hang: Hang, text: str, folder: Path) -> None:
    """Leave what is known for a controller whose worker has crashed, and for later tests."""
    path = folder / f"{hang.pid}{SUFFIX}"
    data = {
        "test": hang.position.test,
        "location": hang.position.location,
        "text": text,
        "functions": _functions(hang) if hang.position.doing == IN_SETUP else (),
    }
    path.write_text(json.dumps(data), encoding="utf-8")
    note_hang(folder)


def _functions(hang: Hang) -> tuple[tuple[str, str], ...]:
    """Return file and name of each function on the main thread's stack."""
    stacks = hang.seen[0].stacks if hang.seen is not None else ()
    return tuple(
        dict.fromkeys(
            (frame.file, frame.function)
            for facts in stacks
            if facts.pid == hang.pid and isinstance(facts.stacks, Known)
            for thread in facts.stacks.value.threads
            if thread.tid == hang.pid
            for frame in thread.python
        )
    )


def add_to_job_summary(text: str) -> None:
    """Append to the summary of a GitHub job, if this is one: the answer, and the rest folded."""
    path = os.environ.get("GITHUB_STEP_SUMMARY")
    if not path:
        return
    answer, _, rest = text.partition("\n\n")
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", text)), default=0))
    shown = f"### A test hangs\n\n{fence}text\n{answer}\n{fence}\n"
    if rest:
        shown += (
            "\n<details><summary>all threads, with their stacks</summary>\n\n"
            f"{fence}text\n{rest}\n{fence}\n\n</details>\n\n"
        )
    with open(path, "a", encoding="utf-8") as file:  # noqa: PTH123
        file.write(shown)
