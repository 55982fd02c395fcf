"""A C library keeps an object's address, as its caller keeps the object alive."""
import ctypes
import os
import threading

Callback = ctypes.CFUNCTYPE(None, ctypes.py_object)
folder = os.path.dirname(os.path.abspath(__file__))
library = ctypes.CDLL(os.path.join(folder, "liblater.so"))
library.call_later.argtypes = [Callback, ctypes.py_object]


@Callback
def done(event):
    event.set()


def work():
    event = threading.Event()
    assert library.call_later(done, event) == 0
    event.wait()


def join(thread):
    thread.join()


def main():
    worker = threading.Thread(target=work)
    worker.start()
    joiner = threading.Thread(target=join, args=(worker,))
    joiner.start()
    joiner.join()


main()
