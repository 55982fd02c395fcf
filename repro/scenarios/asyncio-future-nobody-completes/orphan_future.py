"""A request waits for a reply that no handler was registered for."""
import asyncio
import sys
import time


def onset():
    sys.stderr.write(f"onset {time.monotonic()}\n")
    sys.stderr.flush()


async def request():
    reply = asyncio.get_running_loop().create_future()
    onset()
    return await reply


async def main():
    await asyncio.gather(request())


asyncio.run(main())
