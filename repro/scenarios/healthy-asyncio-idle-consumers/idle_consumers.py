"""Idle workers of a loop, which a timer feeds in the end."""
import asyncio


async def work(queue):
    while True:
        await queue.get()
        queue.task_done()


async def feed(queue, fed):
    await asyncio.sleep(6)
    queue.put_nowait(None)
    fed.set()


async def main():
    queue, fed = asyncio.Queue(), asyncio.Event()
    workers = [asyncio.ensure_future(work(queue)) for _ in range(10)]
    feeder = asyncio.ensure_future(feed(queue, fed))
    await fed.wait()
    await queue.join()
    for worker in workers:
        worker.cancel()
    await feeder


asyncio.run(main())
