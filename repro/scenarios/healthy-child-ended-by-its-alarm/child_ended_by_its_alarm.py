"""A child gives itself a time limit, and its parent waits for it."""
import os
import signal

read_end, write_end = os.pipe()
child = os.fork()
if child == 0:
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(6)
    os.read(read_end, 1)  # from a pipe that only it and its parent could write to
    os._exit(1)
assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGALRM
