from tinycore import backend

backend.start()
