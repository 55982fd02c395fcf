"""A child's end arrives as a signal."""
import os
import signal
import threading
import time

event = threading.Event()


def collect(*_):
    os.waitpid(child, 0)
    event.set()


signal.signal(signal.SIGCHLD, collect)
child = os.fork()
if child == 0:
    time.sleep(6)
    os._exit(0)
threading.Thread(target=event.wait).start()
event.wait()
