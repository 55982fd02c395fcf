"""What is not asked for ends a poll too."""
import os
import select
import socket

from outside import do_later_from_outside

POLLRDHUP = 0x2000
here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
do_later_from_outside(6, there.close)
there.close()
reader, writer = os.pipe()
poller = select.poll()
poller.register(here, POLLRDHUP)
poller.register(reader, select.POLLIN)
poller.poll()
