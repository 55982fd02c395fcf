"""Tired of waiting."""
import signal
import threading

signal.signal(signal.SIGINT, signal.default_int_handler)
lock = threading.Lock()
main = threading.main_thread().ident


def take():
    with lock:
        pass


worker = threading.Thread(target=take)
timer = threading.Timer(6, signal.pthread_kill, (main, signal.SIGINT))
with lock:
    worker.start()
    timer.start()
    try:
        worker.join()
    except KeyboardInterrupt:
        pass
worker.join()
timer.join()
