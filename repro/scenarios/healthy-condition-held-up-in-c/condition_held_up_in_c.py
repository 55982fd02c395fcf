"""What holds the thread up is not the wait for a notice, in whose line it stands."""
import ctypes
import os
import threading
import time

word = ctypes.CDLL(os.path.join(os.path.dirname(os.path.abspath(__file__)), "libword.so"))
there = threading.Event()


class CarefulLock:
    """A lock that is given back by C code, as soon as that is allowed to."""

    def __init__(self):
        self.lock = threading.Lock()
        self.acquire, self.release = self.lock.acquire, self.lock.release
        self.locked = self.lock.locked
        self._release_save = word.await_word

    def _is_owned(self):
        return True

    def _acquire_restore(self, state):
        pass


def wait_for_a_notice():
    ready = threading.Condition(CarefulLock())
    ready.acquire()
    there.set()
    ready.wait(1)


waiter = threading.Thread(target=wait_for_a_notice)
waiter.start()
there.wait()
joiner = threading.Thread(target=waiter.join)
joiner.start()
time.sleep(6)
word.wake()
joiner.join()
