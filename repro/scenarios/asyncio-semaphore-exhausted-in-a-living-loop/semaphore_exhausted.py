"""A pool of connections that its users need twice; the heartbeat goes on."""
import asyncio
import sys
import time


def onset():
    sys.stderr.write(f"onset {time.monotonic()}\n")
    sys.stderr.flush()


LIMIT = 3


async def heartbeat():
    while True:
        await asyncio.sleep(0.05)


async def ask(pool):
    async with pool:
        return 1


async def handle(pool, holders):
    async with pool:
        holders.append(None)
        while len(holders) < LIMIT:
            await asyncio.sleep(0)
        onset()
        return await ask(pool)


async def main():
    pool, holders = asyncio.Semaphore(LIMIT), []
    await asyncio.gather(heartbeat(), *(handle(pool, holders) for _ in range(LIMIT)))


asyncio.run(main())
