"""A signal from outside, taken by the thread that asked for it."""
import os
import signal
import threading

from outside import do_later_from_outside

event = threading.Event()


def await_signal():
    signal.sigwait([signal.SIGUSR1])
    event.set()


me = os.getpid()
do_later_from_outside(6, lambda: os.kill(me, signal.SIGUSR1))
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
threading.Thread(target=await_signal).start()
event.wait()
