"""A timed wait that is interrupted by a stop and resumed."""
import os
import signal
import threading
import time

from outside import do_later_from_outside

me = os.getpid()


def stop_for_a_while():
    os.kill(me, signal.SIGSTOP)
    time.sleep(2)
    os.kill(me, signal.SIGCONT)


do_later_from_outside(1, stop_for_a_while)
waiter = threading.Thread(target=threading.Event().wait, args=[6])
waiter.start()
waiter.join()
