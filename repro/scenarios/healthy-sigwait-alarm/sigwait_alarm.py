"""A signal without a handler, taken by the thread that asked for it."""
import signal
import threading

event = threading.Event()


def await_alarm():
    signal.sigwait([signal.SIGALRM])
    event.set()


signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGALRM])
threading.Thread(target=await_alarm).start()
signal.setitimer(signal.ITIMER_REAL, 6)
event.wait()
