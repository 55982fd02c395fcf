"""The main thread joins a thread before it gives it what it waits for."""
import asyncio
import sys
import threading
import time


def onset():
    sys.stderr.write(f"onset {time.monotonic()}\n")
    sys.stderr.flush()


async def main(parts):
    loop = asyncio.get_running_loop()
    parts["future"] = loop.create_future()
    onset()
    return await parts["future"]


parts = {}
thread = threading.Thread(target=lambda: asyncio.run(main(parts)))
thread.start()
thread.join()
