"""The right way to wait for a child, with a child that is slow."""
import subprocess
import sys

CHILD = "import time; time.sleep(6); print('answer')"

subprocess.run([sys.executable, "-c", CHILD], check=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
