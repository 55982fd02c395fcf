"""How a command of ours ends when Ctrl-C interrupts it."""

from __future__ import annotations

import signal

# A shell shows 130 for both. CPython run with ``-m`` ends by SIGINT itself, whatever status the
# program asked for, if the interrupt passed through an ``exec`` of text, as the import of a
# dataclass has one (`unhandled_keyboard_interrupt` in its Modules/main.c).
INTERRUPTED = (130, -signal.SIGINT)
