"""mkl-service imported where GNU OpenMP is loaded already, with MKL_THREADING_LAYER=INTEL."""

import ctypes

ctypes.CDLL("libgomp.so.1", ctypes.RTLD_GLOBAL)
import mkl  # noqa: E402, F401
