"""A child answers over a socket pair."""
import asyncio
import os
import socket
import time


async def main():
    loop = asyncio.get_running_loop()
    ours, theirs = socket.socketpair()
    child = os.fork()
    if child == 0:
        time.sleep(6)
        theirs.sendall(b"x")
        os._exit(0)
    ours.setblocking(False)
    assert await loop.sock_recv(ours, 1) == b"x"
    os.waitpid(child, 0)


asyncio.run(main())
