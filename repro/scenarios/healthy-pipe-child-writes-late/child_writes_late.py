"""A child that thinks before it answers."""
import os
import time

reader, writer = os.pipe()
child = os.fork()
if child == 0:
    time.sleep(6)
    os.write(writer, b"answer")
    os._exit(0)
os.close(writer)
os.read(reader, 100)
os.waitpid(child, 0)
