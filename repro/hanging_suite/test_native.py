"""A hang below Python, with the GIL held: no thread of this process can do anything about it."""

import ctypes
import sys
import threading

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs glibc's mutexes")


class Mutex:
    """A ``pthread_mutex_t``: called with the GIL released (``let_go``) or held."""

    def __init__(self):
        self.memory = ctypes.create_string_buffer(64)
        self.holding = ctypes.PyDLL(None)
        self.releasing = ctypes.CDLL(None)

    def lock(self, *, let_go):
        library = self.releasing if let_go else self.holding
        library.pthread_mutex_lock(self.memory)


def test_before():
    assert ctypes.sizeof(ctypes.c_void_p) in (4, 8)


def test_mutex_against_the_gil():
    mutex, locked = Mutex(), threading.Event()

    def other():
        mutex.lock(let_go=True)
        locked.set()
        threading.Event().wait()

    threading.Thread(target=other, daemon=True).start()
    locked.wait()
    mutex.lock(let_go=False)


def test_after():
    assert True


def test_more():
    assert True
