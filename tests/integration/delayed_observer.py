"""The observer's helper, except that it waits for a random while before many of its reads.

Its parent starts it instead of `observer_script`; see there for what comes in and goes out.
"""

from __future__ import annotations

import json
import random
import sys
import time
from collections.abc import Callable
from typing import Any

LONGEST_DELAY_S = 0.02


def main() -> None:
    """Delay the functions that read, and answer until the parent closes its end."""
    first_line = sys.stdin.buffer.readline()
    sys.path[:] = json.loads(first_line)["path"]
    from deadlock_matrix.capture import linux, memory, observer_script, procfs

    for module, name, how_often in (
        (linux, "take_census", 0.5),
        (linux, "sharers", 0.5),
        (linux, "read_process", 0.3),
        (linux, "outside_holders", 0.5),
        (procfs, "read_thread", 0.3),
        (procfs, "parse_status", 0.3),
        (memory.Memory, "read", 0.002),  # thousands of times for one process
    ):
        setattr(module, name, delayed(getattr(module, name), how_often))
    observer_script.import_path = first_line
    observer_script.main()


def delayed(read: Callable[..., Any], how_often: float) -> Callable[..., Any]:
    """Return a function that reads, and waits before it in this share of all calls."""

    def wait_and_read(*arguments: Any, **options: Any) -> Any:
        if random.random() < how_often:
            time.sleep(random.uniform(0, LONGEST_DELAY_S))
        return read(*arguments, **options)

    return wait_and_read


if __name__ == "__main__":
    main()
