"""Not a thread, but in the same memory."""
import ctypes
import os
import threading

clone = ctypes.CDLL(os.path.join(os.path.dirname(os.path.abspath(__file__)), "libclone.so"))
child = clone.start()
threading.Thread(target=clone.await_word).start()
clone.await_word()
os.waitpid(child, 0)
