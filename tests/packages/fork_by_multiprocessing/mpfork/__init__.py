"""Starts a process while another thread holds the lock that the process needs."""

import multiprocessing
import threading

from mpfork import work

held = threading.Event()
done = threading.Event()


def hold():
    with work.registry:
        held.set()
        done.wait()


def start():
    threading.Thread(target=hold, daemon=True).start()
    held.wait()
    child = multiprocessing.Process(target=work.run)
    child.start()
    done.set()
    child.join()
