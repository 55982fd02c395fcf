import os
import time

os.write(2, b"onset %.6f\n" % time.monotonic())
import left  # waits until the import of left is over
