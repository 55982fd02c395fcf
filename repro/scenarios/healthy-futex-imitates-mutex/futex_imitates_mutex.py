"""Two threads wait for words that look like mutexes, a third one opens both."""
import ctypes
import os
import threading

imitation = ctypes.CDLL(os.path.join(os.path.dirname(os.path.abspath(__file__)), "libimitation.so"))
ids = [threading.get_native_id(), None]
known, prepared = threading.Event(), threading.Event()


def take_second():
    ids[1] = threading.get_native_id()
    known.set()
    prepared.wait()
    imitation.take(1)


threading.Thread(target=take_second).start()
known.wait()
imitation.close_both(*ids)
threading.Thread(target=imitation.open_both_after, args=[6]).start()
prepared.set()
imitation.take(0)
