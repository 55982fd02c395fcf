"""The kernel's timer ends a wait of all threads."""
import signal
import threading

event = threading.Event()
signal.signal(signal.SIGALRM, lambda *_: event.set())
threading.Thread(target=event.wait).start()
signal.setitimer(signal.ITIMER_REAL, 6)
event.wait()
