"""One thread of the parent waits for the child, another one feeds it."""
import os
import threading
import time

reader, writer = os.pipe()
child = os.fork()
if child == 0:
    os.close(writer)
    os.read(reader, 100)
    os._exit(0)
os.close(reader)


def feed():
    time.sleep(6)
    os.write(writer, b"food")


threading.Thread(target=feed).start()
os.waitpid(child, 0)
