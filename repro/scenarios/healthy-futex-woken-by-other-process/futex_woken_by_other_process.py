"""The one who wakes is in another process."""
import ctypes
import os
import threading

from outside import do_later_from_outside

word = ctypes.CDLL(os.path.join(os.path.dirname(os.path.abspath(__file__)), "libword.so"))
word.make()
do_later_from_outside(6, word.wake)
threading.Thread(target=word.await_word).start()
word.await_word()
