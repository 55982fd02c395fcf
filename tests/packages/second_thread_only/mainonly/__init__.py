"""Takes it for granted that the main thread imports it: any other waits for the main one."""

import threading

ready = threading.Event()
if threading.current_thread() is threading.main_thread():
    ready.set()
ready.wait()
