import os
import subprocess
import sys
import tempfile

# The writer stands for a file server that takes its time: a FIFO is read as a file is.
WRITER = "import sys, time; file = open(sys.argv[1], 'w'); time.sleep(2.5); file.write('rows')"


def read_table():
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "table")
        os.mkfifo(path)
        writer = subprocess.Popen([sys.executable, "-c", WRITER, path])
        with open(path) as file:
            rows = file.read()
        writer.wait()
    return rows
