"""Warms a cache in a thread, and waits for it, while it is imported."""

import threading

from warmstart.cache import warm

worker = threading.Thread(target=warm)
worker.start()
worker.join()
