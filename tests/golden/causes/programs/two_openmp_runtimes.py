"""Two copies of one OpenMP library, as two packages bring them; RECORDED_OPENMP is its path."""

import ctypes
import os
import shutil
import tempfile
from pathlib import Path

first = Path(os.environ["RECORDED_OPENMP"])
with tempfile.TemporaryDirectory() as folder:
    second = Path(folder) / first.name
    shutil.copyfile(first, second)
    libraries = [ctypes.CDLL(str(path), ctypes.RTLD_GLOBAL) for path in (first, second)]
for library in libraries:
    library.omp_get_max_threads()
