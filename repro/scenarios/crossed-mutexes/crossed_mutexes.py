import threading

threading.Thread(target=__import__, args=("right",)).start()
import left
