"""A producer ends without telling its consumers; the heartbeat of the service goes on."""
import asyncio
import sys
import time


def onset():
    sys.stderr.write(f"onset {time.monotonic()}\n")
    sys.stderr.flush()


async def heartbeat():
    while True:
        await asyncio.sleep(0.05)


async def produce(queue):
    for item in range(3):
        await queue.put(item)


async def consume(queue):
    while True:
        if queue.empty():
            onset()
        item = await queue.get()
        if item is None:
            return


async def main():
    beat = asyncio.ensure_future(heartbeat())
    queue = asyncio.Queue()
    await asyncio.gather(produce(queue), consume(queue), consume(queue))
    beat.cancel()


asyncio.run(main())
