"""The reader waits for the end of a pipe that it keeps open itself."""
import os
import sys
import time

reader, writer = os.pipe()
child = os.fork()
if child == 0:
    os.write(writer, b"answer")
    os._exit(0)
os.waitpid(child, 0)
os.read(reader, 100)
sys.stderr.write(f"onset {time.monotonic()}\n")
sys.stderr.flush()
os.read(reader, 100)
os.close(writer)
