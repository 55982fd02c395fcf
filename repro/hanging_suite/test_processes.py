"""A child that hangs, and a parent that waits for it."""

import os
import sys
import threading

import pytest

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs fork")


@pytest.mark.parametrize("number", range(4))
def test_before(number):
    assert number < 4


def test_forked_child_needs_a_lock_that_a_thread_held():
    lock, held = threading.Lock(), threading.Event()

    def hold():
        with lock:
            held.set()
            threading.Event().wait()

    threading.Thread(target=hold, daemon=True).start()
    held.wait()
    child = os.fork()
    if child == 0:
        lock.acquire()
        os._exit(0)
    os.waitpid(child, 0)


def test_after():
    assert os.getpid() > 0
