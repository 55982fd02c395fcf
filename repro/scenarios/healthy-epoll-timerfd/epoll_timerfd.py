"""The clock is a descriptor."""
import ctypes
import select
import threading
import time

libc = ctypes.CDLL(None, use_errno=True)
expiry = (ctypes.c_long * 4)(0, 0, 6, 0)  # struct itimerspec: no interval, six seconds
clock = libc.timerfd_create(time.CLOCK_MONOTONIC, 0)
libc.timerfd_settime(clock, 0, expiry, None)

requests = select.epoll()
requests.register(clock, select.EPOLLIN)
requests.register(libc.eventfd(0, 0), select.EPOLLIN)
server = threading.Thread(target=requests.poll)
server.start()
server.join()
