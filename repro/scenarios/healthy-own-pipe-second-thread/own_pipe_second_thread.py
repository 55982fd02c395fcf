"""A pipe between two threads."""
import os
import threading
import time

reader, writer = os.pipe()


def write():
    time.sleep(6)
    os.write(writer, b"answer")


threading.Thread(target=write).start()
os.read(reader, 100)
