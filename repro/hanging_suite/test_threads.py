"""Threads that wait for each other."""

import threading

import pytest


def test_before():
    assert True


def test_two_threads_join_each_other():
    main = threading.current_thread()
    other = threading.Thread(target=main.join, daemon=True)
    other.start()
    other.join()


def test_crossed_locks():
    first, second = threading.Lock(), threading.Lock()
    has_first, has_second = threading.Event(), threading.Event()

    def other():
        with second:
            has_second.set()
            has_first.wait()
            with first:
                pass

    threading.Thread(target=other, daemon=True).start()
    with first:
        has_first.set()
        has_second.wait()
        with second:
            pass


def test_fails():
    assert 1 == 2


@pytest.mark.parametrize("number", range(7))
def test_between(number):
    assert number >= 0


def test_queue_that_nobody_feeds():
    import queue

    queue.Queue().get()


def test_future_that_nobody_sets():
    import asyncio

    async def wait():
        await asyncio.get_running_loop().create_future()

    asyncio.run(wait())
