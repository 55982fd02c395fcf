import threading

both_began = threading.Barrier(2)  # the import of left and the import of right
