import threading

STATE = threading.Lock()
STATE.acquire()
