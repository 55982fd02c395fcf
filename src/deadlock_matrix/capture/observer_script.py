"""The helper that reads: a `linux.LinuxCollector` that can be abandoned if it gets stuck.

Run it by path with ``-I -S``. One JSON object a line comes in on standard input, one goes out on
standard output. The first line in is ``{"path": [...], "descriptors": [NOTE]}``: the module search
path of the parent, and the memory in which to announce what begins (`foreign`). Then, for each
request, ``{"ask": "snapshot", "pids": [1], "places": [], "awaited": [], "avoid": [], "limit_s":
3.0}``, answered by ``{"found": ...}``, ``{"refused": "a sentence"}`` or ``{"failed": "a bug"}``. It
ends when standard input does.
"""

from __future__ import annotations

import gc
import os
import signal
import sys

import_path = sys.stdin.buffer.readline() if __name__ == "__main__" else b""


def main() -> None:
    """Answer until the parent closes its end."""
    import json

    first = json.loads(import_path)
    sys.path[:] = first["path"]
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle

    import msgspec

    from deadlock_matrix.capture import foreign
    from deadlock_matrix.capture.linux import LinuxCollector
    from deadlock_matrix.capture.source_lines import source_lines
    from deadlock_matrix.errors import CaptureError

    (note,) = first["descriptors"]
    foreign.announce_in(foreign.Note(note))
    os.close(note)
    # What it reads of thousands of threads has no cycles, and is gone with the answer.
    gc.freeze()
    gc.set_threshold(50_000, 50, 50)
    with LinuxCollector(own_session=False) as collector:
        for line in sys.stdin.buffer:
            request = json.loads(line)
            # The default action of SIGALRM ends the process even if native code hangs, and even if
            # the parent that would have ended it is gone.
            signal.setitimer(signal.ITIMER_REAL, request["limit_s"] + 1)
            foreign.avoid(request["avoid"])
            ask = getattr(collector, request["ask"])
            pids = request["pids"]
            answer: dict[str, object]
            try:
                with foreign.reading(request["ask"], foreign.BUSY_S):
                    if request["ask"] == "source_lines":
                        answer = {"found": source_lines(pids[0], request["places"])}
                    elif request["ask"] == "python_stacks":
                        answer = {"found": ask(pids, request["awaited"])}
                    elif request["ask"] in ("snapshot", "native_stacks"):
                        answer = {"found": ask(pids)}
                    else:
                        answer = {"found": ask(pids[0])}
            except CaptureError as error:
                answer = {"refused": str(error)}
            except Exception as error:  # reported to the user as a fault of ours
                answer = {"failed": f"{type(error).__name__}: {error}"[:500]}
            signal.setitimer(signal.ITIMER_REAL, 0)
            sys.stdout.buffer.write(msgspec.json.encode(answer) + b"\n")
            sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
