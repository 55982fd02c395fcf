"""Most of a team is asleep most of the time."""
import ctypes
import os
import threading

team = ctypes.CDLL(os.path.join(os.path.dirname(os.path.abspath(__file__)), "libteam.so"))
leader = threading.Thread(target=team.work, args=[3])
leader.start()
leader.join()
