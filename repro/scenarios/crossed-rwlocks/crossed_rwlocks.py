import ctypes
import os
import threading

HERE = os.path.dirname(os.path.abspath(__file__))
tables = ctypes.CDLL(os.path.join(HERE, "libtables.so"))

threading.Thread(target=tables.write_values_then_names).start()
tables.write_names_and_read_values()
