"""What a test runner loads, and then a test that hangs."""
import faulthandler
import readline  # noqa: F401
import sys
import threading
import time

faulthandler.enable(open("/dev/null", "w"))
lock = threading.Lock()
lock.acquire()
sys.stderr.write(f"onset {time.monotonic()}\n")
sys.stderr.flush()
lock.acquire()
