import os
import time

from tinycore import backend

os.write(2, b"onset %.6f\n" % time.monotonic())
backend.start()
