"""A deadlocked child can still be killed."""
import os
import signal
import threading

child = os.fork()
if child == 0:
    lock = threading.Lock()
    lock.acquire()
    lock.acquire()
    os._exit(0)
threading.Timer(6, os.kill, [child, signal.SIGKILL]).start()
os.waitpid(child, 0)
