"""The helper process that reads stacks with pystack. It is a script, and imports no sibling module.

One JSON object a line comes in on standard input, one goes out on standard output. The first line
in is ``{"path": [...]}``, the module search path of the parent. Then, for each request, ``{"pid":
1, "native": false, "limit_s": 3.0}``, answered by ``{"threads": [...]}`` or ``{"error": "..."}``.
It ends when standard input does.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
from typing import Any, TextIO

# Only these locals leave the target: what a proof needs, and no user's data.
KEPT = frozenset({"self", "timeout", "block", "name", "spec", "lock"})
KEPT_FILES = (
    "/threading.py",
    "/subprocess.py",
    "/queue.py",
    "/concurrent/futures/",
    "/multiprocessing/",
    "importlib._bootstrap>",
    "importlib/_bootstrap.py",
)
VALUE_LIMIT = 200


def is_kept(file: str) -> bool:
    """Return whether locals of this file's frames are wanted."""
    return file.endswith(KEPT_FILES) or any(part in file for part in KEPT_FILES if part[-1] == "/")


def frame_of(frame: Any) -> dict[str, Any]:
    """Return a pystack frame as JSON."""
    code = frame.code
    values: dict[str, str] = {}
    if is_kept(code.filename):
        for name, value in [*frame.locals.items(), *frame.arguments.items()]:
            if name in KEPT:
                values[name] = str(value)[:VALUE_LIMIT]
    return {
        "function": code.scope,
        "file": code.filename,
        "line": code.location.lineno,
        "values": values,
    }


def native_frame_of(frame: Any) -> dict[str, Any]:
    """Return a pystack native frame as JSON; pystack writes ``???`` for what it does not know."""
    known = frame.path and not frame.path.startswith("???")
    return {
        "symbol": frame.symbol or "??",
        "library": frame.library or "",
        "address": frame.address,
        "file": frame.path if known else "",
        "line": frame.linenumber if known else 0,
    }


def thread_of(thread: Any) -> dict[str, Any]:
    """Return a pystack thread as JSON."""
    return {
        "tid": thread.tid,
        "name": thread.name or "",
        "gil": thread.holds_the_gil,
        "version": thread.python_version,
        "interpreter": thread.interpreter_id,
        "python": [frame_of(frame) for frame in thread.frames],
        "native": [native_frame_of(frame) for frame in thread.native_frames],
    }


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """Read the stacks of one process."""
    from pystack.engine import NativeReportingMode, get_process_threads

    native = bool(request["native"])
    try:
        threads = get_process_threads(
            request["pid"],
            stop_process=native,
            native_mode=NativeReportingMode.ALL if native else NativeReportingMode.OFF,
            locals=True,
        )
        return {"threads": [thread_of(thread) for thread in threads]}
    except Exception as error:  # whatever pystack raises is a reason to report, not to die of
        text = " ".join(str(error).split())
        return {"error": f"{type(error).__name__}: {text}"[:500]}


def serve(requests: TextIO, answers: TextIO) -> None:
    """Answer until the parent closes its end."""
    sys.path[:] = json.loads(requests.readline())["path"]
    try:
        import pystack.engine  # noqa: F401
    except Exception as error:  # ImportError, or a broken build: report it for every request
        for _ in requests:
            print(json.dumps({"error": f"pystack: {error}"}), file=answers, flush=True)
        return
    for line in requests:
        request = json.loads(line)
        # The default action of SIGALRM ends the process even if native code hangs, and even if the
        # parent that would have ended it is gone.
        signal.setitimer(signal.ITIMER_REAL, request["limit_s"])
        reply = answer(request)
        signal.setitimer(signal.ITIMER_REAL, 0)
        print(json.dumps(reply), file=answers, flush=True)


def main() -> None:
    """Keep the pipe to the parent apart from whatever native code prints."""
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.dup2(null, 2)
    with (
        os.fdopen(0, encoding="utf-8") as requests,
        contextlib.suppress(EOFError, BrokenPipeError, ValueError),
    ):
        serve(requests, answers)


if __name__ == "__main__":
    main()
