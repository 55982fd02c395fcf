"""Calls native code that takes a lock without giving the GIL away."""

import threading

from gilfault import _native

taken = threading.Event()
worker = threading.Thread(target=_native.hold, args=(taken.set,))
worker.start()
taken.wait()
_native.take()
