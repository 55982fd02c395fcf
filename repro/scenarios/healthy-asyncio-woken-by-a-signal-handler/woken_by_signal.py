"""A child sends the signal that a task waits for."""
import asyncio
import os
import signal
import time


async def main():
    loop = asyncio.get_running_loop()
    told = asyncio.Event()
    loop.add_signal_handler(signal.SIGUSR1, told.set)
    child = os.fork()
    if child == 0:
        time.sleep(6)
        os.kill(os.getppid(), signal.SIGUSR1)
        os._exit(0)
    await told.wait()
    os.waitpid(child, 0)


asyncio.run(main())
