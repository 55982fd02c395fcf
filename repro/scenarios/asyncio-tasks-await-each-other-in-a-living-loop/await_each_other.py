"""Two tasks of a service await each other; its heartbeat goes on."""
import asyncio
import sys
import time


def onset():
    sys.stderr.write(f"onset {time.monotonic()}\n")
    sys.stderr.flush()


async def heartbeat():
    while True:
        await asyncio.sleep(0.05)


async def wait_for_the_other(tasks, other):
    while len(tasks) < 2:
        await asyncio.sleep(0)
    onset()
    await tasks[other]


async def main():
    tasks = []
    for other in (1, 0):
        tasks.append(asyncio.ensure_future(wait_for_the_other(tasks, other)))
    await heartbeat()


asyncio.run(main())
