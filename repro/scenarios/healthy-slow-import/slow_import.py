"""Two threads import one slow module."""
import importlib
import threading

begun = threading.Event()
thread = threading.Thread(target=importlib.import_module, args=["slow_body"])
thread.start()
begun.wait()
importlib.import_module("slow_body")
