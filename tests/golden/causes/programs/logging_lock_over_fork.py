"""A handler with a lock of its own: a thread writes with it while the process forks."""

import logging
import os
import threading

entered, forked = threading.Event(), threading.Event()


class Handler(logging.Handler):
    def createLock(self):
        self.lock = threading.RLock()  # logging does not know it, and does not renew it in a child

    def emit(self, record):
        entered.set()
        forked.wait()


logger = logging.getLogger("recorded")
logger.addHandler(Handler())
writer = threading.Thread(target=logger.warning, args=["held"])
writer.start()
entered.wait()
child = os.fork()
if child == 0:
    logger.warning("never written")
    os._exit(0)
forked.set()
writer.join()
os.waitpid(child, 0)
