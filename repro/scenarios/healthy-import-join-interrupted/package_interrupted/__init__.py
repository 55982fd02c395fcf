"""Joins a thread that waits for this very module, until a watchdog has enough."""
import os
import signal
import threading
import time


def import_part():
    from package_interrupted import part  # noqa: F401


def watch():
    time.sleep(6)
    os.kill(os.getpid(), signal.SIGINT)


signal.signal(signal.SIGINT, signal.default_int_handler)
worker = threading.Thread(target=import_part)
watchdog = threading.Thread(target=watch)
worker.start()
watchdog.start()
try:
    worker.join()
except KeyboardInterrupt:
    pass
watchdog.join()
