import ctypes
import importlib
import os

FOLDER = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
pool = ctypes.CDLL(os.path.join(FOLDER, "libpool.so"))


@ctypes.CFUNCTYPE(None)
def announce():
    importlib.import_module("tinycore.models")


def start():
    pool.pool_start(announce)
