"""Prefixes of variables that numerical libraries read."""

THREAD_PREFIXES = (
    "OMP_", "GOMP_", "KMP_", "MKL_", "OPENBLAS_", "GOTO_", "BLIS_", "FLEXIBLAS", "VECLIB_",
    "NUMEXPR_", "TBB_",
)  # fmt: skip
"""They choose how threads are made, and how many."""

PREFIXES = (*THREAD_PREFIXES, "TOKENIZERS_", "TORCH_", "USE_", "CUDA_VISIBLE_DEVICES")
"""All of them."""
