"""Forty thousand threads come and go while two wait."""
import ctypes
import os
import threading

churn = ctypes.CDLL(os.path.join(os.path.dirname(os.path.abspath(__file__)), "libchurn.so"))
worker = threading.Thread(target=churn.churn, args=[10, 1000])
worker.start()
threading.Thread(target=worker.join).start()
worker.join()
