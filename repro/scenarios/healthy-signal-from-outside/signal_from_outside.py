"""Somebody else's SIGUSR1 ends a wait of all threads."""
import os
import signal
import threading

from outside import do_later_from_outside

event = threading.Event()
me = os.getpid()
do_later_from_outside(6, lambda: os.kill(me, signal.SIGUSR1))
signal.signal(signal.SIGUSR1, lambda *_: event.set())
threading.Thread(target=event.wait).start()
event.wait()
