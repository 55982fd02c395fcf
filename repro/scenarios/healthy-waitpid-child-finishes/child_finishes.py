"""A child that takes its time."""
import os
import threading
import time

child = os.fork()
if child == 0:
    time.sleep(6)
    os._exit(0)
waiter = threading.Thread(target=os.waitpid, args=[child, 0])
waiter.start()
waiter.join()
