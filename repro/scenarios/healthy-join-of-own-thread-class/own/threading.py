"""A thread class of a package, in a file with the name of the standard library's."""
from __future__ import absolute_import

import sys

standard = sys.modules["threading"]


class Thread(standard.Thread):
    def __init__(self, **rest):
        super().__init__(**rest)
        self._over = standard.Lock()
        self._over.acquire()

    def _bootstrap_inner(self):
        super()._bootstrap_inner()

    def join(self, timeout=None):
        with self._over:
            pass

    def give_up(self):
        self._over.release()
