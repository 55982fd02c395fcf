"""A graceful end on Ctrl-C, the Ctrl-C coming from elsewhere."""
import os
import signal
import threading

from outside import do_later_from_outside

event = threading.Event()
me = os.getpid()
do_later_from_outside(6, lambda: os.kill(me, signal.SIGINT))
signal.signal(signal.SIGINT, lambda *_: event.set())
threading.Thread(target=event.wait).start()
event.wait()
