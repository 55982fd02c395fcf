"""The answer is in a stopped child."""
import os
import signal

from outside import do_later_from_outside

reader, writer = os.pipe()
child = os.fork()
if child == 0:
    os.close(reader)
    os.kill(os.getpid(), signal.SIGSTOP)
    os.write(writer, b"answer")
    os._exit(0)
os.close(writer)
os.waitpid(child, os.WUNTRACED)
do_later_from_outside(6, lambda: os.kill(child, signal.SIGCONT))
os.read(reader, 100)
os.waitpid(child, 0)
