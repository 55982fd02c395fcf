"""Starts its pool while it is imported, if a variable asks for it."""

import os
import threading

if os.environ.get("FASTTHING_PARALLEL") == "1":
    from fastthing import pool

    worker = threading.Thread(target=pool.prepare)
    worker.start()
    worker.join()
