"""Another thread completes the future that the only task awaits."""
import asyncio
import threading
import time


async def main():
    loop = asyncio.get_running_loop()
    future = loop.create_future()

    def complete():
        time.sleep(6)
        loop.call_soon_threadsafe(future.set_result, None)

    threading.Thread(target=complete).start()
    await future


asyncio.run(main())
