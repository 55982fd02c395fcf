"""A process that is nobody's child any more writes to the loop's self-pipe."""
import asyncio
import os
import time


async def main():
    loop = asyncio.get_running_loop()
    future = loop.create_future()
    ours, theirs = os.pipe()
    child = os.fork()
    if child == 0:
        if os.fork() == 0:
            time.sleep(6)
            os.write(theirs, b"x")
            loop._csock.send(b"\0")
        os._exit(0)
    os.waitpid(child, 0)
    os.set_blocking(ours, False)

    def look():
        try:
            os.read(ours, 1)
            future.set_result(None)
        except BlockingIOError:
            pass

    read_from_self = loop._process_self_data
    loop._process_self_data = lambda data: (read_from_self(data), look())
    await future


asyncio.run(main())
