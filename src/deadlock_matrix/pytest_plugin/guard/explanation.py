"""The explanation of a hang: in the failure, in files beside it, in the summary of a CI job."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

from deadlock_matrix.diagnosis.text import one_line
from deadlock_matrix.errors import DeadlockMatrixError
from deadlock_matrix.model.fact import Known
from deadlock_matrix.pytest_plugin.guard.hang import LIKELY, PROVED, Hang
from deadlock_matrix.pytest_plugin.guard.left import HUNG, SUFFIX

IN_SETUP = "in the setup of"


def headline(hang: Hang) -> str:
    """Return what hangs, where, and how sure that is, in one line."""
    how = {
        PROVED: "is deadlocked (proved)",
        LIKELY: "is likely deadlocked",
    }.get(hang.strength, f"has done nothing for {hang.asleep_s:.0f} s")
    return f"pytest process {hang.pid}, {hang.position}, {how}"


def sentence(hang: Hang) -> str:
    """Return what was found, in a sentence; empty if there is none."""
    proof = hang.judgement.proof
    return "" if proof is None else one_line(proof.sentence)


def describe(hang: Hang, folder: Path) -> str:
    """Return the whole text: the headline, what ``inspect`` would print, and the file beside it.

    That file contains what was seen, as ``inspect --json`` prints it, without private data.
    """
    import msgspec

    from deadlock_matrix.app.inspection import of_process
    from deadlock_matrix.render.inspection import View, inspection_text
    from deadlock_matrix.report.files import write_atomically
    from deadlock_matrix.report.private import make_redaction

    found = of_process(hang.pid, hang.judgement, hang.evidence)
    name = re.sub(r"[^\w.-]+", "-", hang.position.test or hang.position.doing).strip("-")[-100:]
    path = folder / f"{name}-{hang.pid}.json"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        public = make_redaction(None, include_host=False).apply(found)
        write_atomically(path, msgspec.json.format(msgspec.json.encode(public), indent=1))
        where = f"evidence: {path}"
    except (OSError, DeadlockMatrixError) as error:
        where = f"the evidence could not be written: {error}"
    return f"{headline(hang)}\n\n{inspection_text(found, View(hint=False))}\n\n{where}"


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
    (folder / HUNG).touch()


def _functions(hang: Hang) -> tuple[tuple[str, str], ...]:
    """Return file and name of each function on the main thread's stack."""
    return tuple(
        dict.fromkeys(
            (frame.file, frame.function)
            for facts in hang.evidence.stacks
            if facts.pid == hang.pid and isinstance(facts.stacks, Known)
            for thread in facts.stacks.value.threads
            if thread.tid == hang.pid
            for frame in thread.python
        )
    )


def add_to_job_summary(text: str) -> None:
    """Append to the summary of a GitHub job, if this is one."""
    path = os.environ.get("GITHUB_STEP_SUMMARY")
    if path:
        with open(path, "a", encoding="utf-8") as file:  # noqa: PTH123
            file.write(f"### A test hangs\n\n```text\n{text}\n```\n")
