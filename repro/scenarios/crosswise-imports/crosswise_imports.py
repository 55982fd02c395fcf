import threading

import meeting  # imported here, so that left and right find it finished

second = threading.Thread(target=__import__, args=("right",))
second.start()
import left

second.join()
