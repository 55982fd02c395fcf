import threading

second = threading.Thread(target=__import__, args=("right",))
second.start()
second.join()
