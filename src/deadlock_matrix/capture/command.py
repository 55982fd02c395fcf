"""What a process runs, and for how long, without any private argument that it was given."""

from __future__ import annotations

import os
import re
import time

from deadlock_matrix.capture.foreign import reading
from deadlock_matrix.capture.proc_files import read_small, reason_of
from deadlock_matrix.capture.proc_text import text_of
from deadlock_matrix.model.fact import Known, Unknown, known, unknown

LONGEST = 300
"""Most characters of one word."""

_PYTHON = re.compile(r"(?:python|pypy)[\d.]*t?d?(?:\.exe)?")
_LAST_FLAG = re.compile(r"-(?![XW])[A-Za-z]*([cm])")
"""The options after which Python takes no other: ``-c``, ``-m``, ``-Im``."""

_WITH_ARGUMENT = ("-X", "-W", "--check-hash-based-pycs")


def command_of(pid: int, directory: int) -> Known[tuple[str, ...]] | Unknown:
    """Return the program and, for a Python, the script or the module that it runs.

    Source: ``/proc/PID/cmdline``, which the kernel reads out of the process's own memory, so a
    process may write there what it likes. Further arguments may be passwords and are not kept, nor
    is the code after ``-c``.
    """
    try:
        with reading(f"the command line of process {pid}"):
            raw = read_small("cmdline", directory)
    except OSError as error:
        return unknown(reason_of(error, f"/proc/{pid}/cmdline"))
    words = [text_of(word) for word in raw.rstrip(b"\0").split(b"\0")]
    return known(what_runs(words), f"/proc/{pid}/cmdline")


def what_runs(words: list[str]) -> tuple[str, ...]:
    """Shorten ``python -m http.server 8000 --token x`` to ``python -m http.server``."""
    # A process that gives itself a title has it all in one word: "gunicorn: worker [app]". A path
    # with arguments after it is not a title, and may contain spaces itself.
    is_path = len(words) > 1 and words[0].startswith("/")
    program = (words[0] if is_path else words[0].split(" ")[0])[:LONGEST] if words else ""
    if not program:
        return ()
    if not _PYTHON.fullmatch(program.rpartition("/")[2]):
        return (program,)
    rest = iter(words[1:])
    for word in rest:
        if word in _WITH_ARGUMENT:
            next(rest, None)
        elif flag := _LAST_FLAG.fullmatch(word):
            return (program, "-c") if flag[1] == "c" else (program, "-m", next(rest, "")[:LONGEST])
        elif not word.startswith("-") or word == "-":
            return (program, word[:LONGEST])
    return (program,)


def age_of(pid: int, started: int) -> Known[float]:
    """Return seconds since the process began; ``started`` is in clock ticks since boot."""
    began_s = started / os.sysconf("SC_CLK_TCK")
    age_s = time.clock_gettime(time.CLOCK_BOOTTIME) - began_s
    return known(max(age_s, 0.0), f"/proc/{pid}/stat")
