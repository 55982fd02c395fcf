"""The main task waits for ever, on purpose; another one ends the process."""
import asyncio
import os
import sys


async def work():
    for _ in range(120):
        await asyncio.sleep(0.05)
    sys.stdout.flush()
    os.kill(os.getpid(), 2)


async def main():
    worker = asyncio.ensure_future(work())
    await asyncio.Event().wait()
    await worker


try:
    asyncio.run(main())
except KeyboardInterrupt:
    pass
