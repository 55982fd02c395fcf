"""What pytest shows of a hang: all of the explanation once, and its first line in summaries.

Of a failure that is plain text, pytest repeats the whole in JUnit's message and, in a CI job, in
the "short test summary info". So this is what pytest makes of an exception, with the first line as
its message.
"""

from __future__ import annotations

from _pytest._code.code import (
    ReprEntryNative,
    ReprExceptionInfo,
    ReprFileLocation,
    ReprTraceback,
)

from deadlock_matrix.pytest_plugin.guard.left import Location


def failure_of(text: str, location: Location) -> ReprExceptionInfo:
    """Return the ``longrepr`` of a test at ``location`` that failed with this explanation."""
    file, line, _ = location
    headline = text.partition("\n")[0]
    return ReprExceptionInfo(
        reprtraceback=ReprTraceback(
            reprentries=[ReprEntryNative([f"{text}\n"])], extraline=None, style="native"
        ),
        reprcrash=ReprFileLocation(path=file, lineno=(line or 0) + 1, message=headline),
    )
