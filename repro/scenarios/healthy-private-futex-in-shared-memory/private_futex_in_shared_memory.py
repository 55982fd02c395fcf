"""The one who writes the word is another process, which then has the waiter look at it again."""
import ctypes
import os
import signal
import time

from outside import do_later_from_outside

word = ctypes.CDLL(os.path.join(os.path.dirname(os.path.abspath(__file__)), "libword.so"))
word.make()
waiter = os.getpid()


def write_and_nudge():
    word.set()
    os.kill(waiter, signal.SIGSTOP)
    time.sleep(0.2)
    os.kill(waiter, signal.SIGCONT)


do_later_from_outside(6, write_and_nudge)
word.await_word()
