"""Make a folder, and remove it when the process that started this one is gone, however it ended.

Run it by path with ``-I -S`` and the folder's path; it uses only the standard library. Standard
input is a pipe whose other end that process holds: end of file means that nobody holds it any more.
"""

import contextlib
import os
import shutil
import signal
import sys
import time

CLEARED_FOR_S = 0.6  # whoever was using the folder may not have ended yet, and write once more
AGAIN_AFTER_S = 0.05
GIVES_UP_AFTER_S = 30.0  # whoever still writes then is none of ours


def main():
    os.setsid()  # signals to our parent's group are not meant for us
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    folder = sys.argv[1]
    os.mkdir(folder, 0o700)
    with contextlib.suppress(OSError):  # whoever waits for this may have been killed meanwhile
        os.write(1, b"ready\n")
    os.close(1)
    while os.read(0, 4096):
        pass
    now = time.monotonic()
    give_up, clear_since = now + GIVES_UP_AFTER_S, now
    while now < min(give_up, clear_since + CLEARED_FOR_S):
        if os.path.lexists(folder):
            shutil.rmtree(folder, ignore_errors=True)
            clear_since = time.monotonic()
        time.sleep(AGAIN_AFTER_S)
        now = time.monotonic()


if __name__ == "__main__":
    main()
