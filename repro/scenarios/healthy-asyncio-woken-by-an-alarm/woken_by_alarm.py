"""An interval timer's signal sets the event that a task waits for."""
import asyncio
import signal


async def main():
    told = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGALRM, told.set)
    signal.setitimer(signal.ITIMER_REAL, 6)
    await told.wait()


asyncio.run(main())
