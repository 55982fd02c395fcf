"""A descriptor on its way belongs to no process."""
import array
import os
import socket

from outside import do_later_from_outside

here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)


def receive_and_write():
    _, ancillary, _, _ = there.recvmsg(1, socket.CMSG_SPACE(4))
    received = array.array("i", ancillary[0][2])[0]
    os.write(received, b"answer")


do_later_from_outside(6, receive_and_write)
there.close()
reader, writer = os.pipe()
here.sendmsg([b"-"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [writer]))])
os.read(reader, 100)
