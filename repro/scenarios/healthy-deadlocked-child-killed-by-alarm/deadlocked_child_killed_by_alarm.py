"""The classic timeout around waitpid."""
import os
import signal
import threading

child = os.fork()
if child == 0:
    lock = threading.Lock()
    lock.acquire()
    lock.acquire()
    os._exit(0)
signal.signal(signal.SIGALRM, lambda *_: os.kill(child, signal.SIGKILL))
signal.setitimer(signal.ITIMER_REAL, 6)
os.waitpid(child, 0)
