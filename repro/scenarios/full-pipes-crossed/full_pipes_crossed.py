"""Both sides send first and read later, and neither message fits into its pipe."""
import os
import sys
import time

MESSAGE = bytes(1 << 20)


def exchange(reader, writer):
    sys.stderr.write(f"onset {time.monotonic()}\n")
    sys.stderr.flush()
    os.write(writer, MESSAGE)
    os.read(reader, len(MESSAGE))


from_parent, to_child = os.pipe()
from_child, to_parent = os.pipe()
child = os.fork()
if child == 0:
    os.close(to_child)
    os.close(from_child)
    exchange(from_parent, to_parent)
    os._exit(0)
os.close(from_parent)
os.close(to_parent)
exchange(from_child, to_child)
os.waitpid(child, 0)
