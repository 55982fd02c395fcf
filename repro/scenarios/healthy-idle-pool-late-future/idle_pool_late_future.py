"""Workers with nothing to do, and a result that comes from elsewhere."""
import threading
from concurrent.futures import Future, ThreadPoolExecutor

with ThreadPoolExecutor(max_workers=4) as pool:
    everyone = threading.Barrier(4)
    list(pool.map(lambda _: everyone.wait(), range(4)))
    late = Future()
    threading.Timer(6, late.set_result, args=[42]).start()
    late.result()
