"""A server that wants to end well on SIGTERM, and hangs before."""
import signal
import sys
import threading
import time


class Server:
    """Two locks, and a handler."""

    def __init__(self):
        self.sessions, self.log = threading.Lock(), threading.Lock()
        self.both_hold_one = threading.Barrier(2)
        self.ending = False

    def stop(self, number, frame):
        """Only note that it is to end."""
        self.ending = True

    def cross(self, mine, other):
        with mine:
            self.both_hold_one.wait()
            sys.stderr.write(f"onset {time.monotonic()}\n")
            sys.stderr.flush()
            with other:
                pass


server = Server()
signal.signal(signal.SIGTERM, server.stop)
threading.Thread(target=server.cross, args=(server.log, server.sessions), name="janitor").start()
server.cross(server.sessions, server.log)
