import ctypes
import os
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
kinds = ctypes.CDLL(os.path.join(HERE, "libkinds.so"))

threading.Thread(target=kinds.recursive_then_checking).start()
kinds.wait_until_recursive_is_held()
kinds.lock_checking()
os.write(2, b"onset %.6f\n" % time.monotonic())
kinds.lock_recursive_and_let_the_other_go_on()
