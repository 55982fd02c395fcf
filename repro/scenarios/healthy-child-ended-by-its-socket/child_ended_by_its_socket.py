"""A child asks for a signal when its socket has data, and its parent waits for it."""
import fcntl
import os
import signal
import socket
import subprocess
import sys

SERVER = """
import socket, sys, time
with socket.create_connection(("127.0.0.1", int(sys.argv[1]))):
    time.sleep(6)
"""

listening = socket.create_server(("127.0.0.1", 0))
port = str(listening.getsockname()[1])
# A daemon leaves the tree, and has no end of any pipe in it.
subprocess.run([sys.executable, "-c", f"import os\nif os.fork(): os._exit(0)\nos.setsid()\n{SERVER}", port], check=True)
connection = listening.accept()[0]
read_end, write_end = os.pipe()
child = os.fork()
if child == 0:
    signal.signal(signal.SIGIO, signal.SIG_DFL)
    fcntl.fcntl(connection, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(connection, fcntl.F_SETFL, os.O_ASYNC | os.O_NONBLOCK)
    os.read(read_end, 1)  # from a pipe that only it and its parent could write to
    os._exit(1)
assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGIO
