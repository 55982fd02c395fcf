import ctypes
import os
import threading

HERE = os.path.dirname(os.path.abspath(__file__))
statics = ctypes.CDLL(os.path.join(HERE, "libstatics.so"))

threading.Thread(target=statics.use_devices).start()
statics.use_codecs()
