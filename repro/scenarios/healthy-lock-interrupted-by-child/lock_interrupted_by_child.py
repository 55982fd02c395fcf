"""The child has a word with its parent."""
import os
import signal
import threading
import time

signal.signal(signal.SIGINT, signal.default_int_handler)
parent = os.getpid()
lock = threading.Lock()
lock.acquire()
child = os.fork()
if child == 0:
    time.sleep(6)
    if os.getppid() == parent:
        os.kill(parent, signal.SIGINT)
    os._exit(0)
try:
    lock.acquire()
except KeyboardInterrupt:
    pass
os.waitpid(child, 0)
