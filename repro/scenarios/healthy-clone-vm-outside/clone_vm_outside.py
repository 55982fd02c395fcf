"""Neither a thread nor a relative, but in the same memory."""
import ctypes
import os
import threading

clone = ctypes.CDLL(os.path.join(os.path.dirname(os.path.abspath(__file__)), "libclone.so"))
clone.start()
threading.Thread(target=clone.await_word).start()
clone.await_word()
