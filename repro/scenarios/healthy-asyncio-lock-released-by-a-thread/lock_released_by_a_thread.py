"""A lock as a baton: who took it is not who releases it."""
import asyncio
import threading
import time

lock = threading.Lock()


def release():
    time.sleep(6)
    lock.release()


async def first(there):
    with lock:
        there.set()
        await asyncio.get_running_loop().create_future()


async def second(there):
    await there.wait()
    threading.Thread(target=release).start()
    with lock:
        pass


async def main():
    there = asyncio.Event()
    task = asyncio.ensure_future(first(there))
    await second(there)
    lock.acquire()  # what the end of the block will release
    task.cancel()


asyncio.run(main())
