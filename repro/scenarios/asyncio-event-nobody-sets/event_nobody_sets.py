"""Who should say that all is ready has failed."""
import asyncio
import sys
import time


def onset():
    sys.stderr.write(f"onset {time.monotonic()}\n")
    sys.stderr.flush()


async def prepare(ready):
    raise ValueError("not prepared")


async def work(ready):
    onset()
    await ready.wait()


async def main():
    ready = asyncio.Event()
    await asyncio.gather(prepare(ready), work(ready), work(ready), return_exceptions=True)


asyncio.run(main())
