"""The writer is a thread that has outlived the first one of its process."""
import ctypes
import os

start = ctypes.CDLL(os.path.join(os.path.dirname(os.path.abspath(__file__)), "libwriter.so")).start
reader, writer = os.pipe()
has_ended, lifeline = os.pipe()
child = os.fork()
if child == 0:
    os.setsid()
    if os.fork() == 0:
        os.close(lifeline)
        start(writer, has_ended, 6)
    os._exit(0)
os.close(has_ended)
os.waitpid(child, 0)
os.read(reader, 100)
