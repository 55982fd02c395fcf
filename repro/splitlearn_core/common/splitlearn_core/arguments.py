"""The checks that need neither torch nor transformers, made before either is imported."""

from .errors import SplitPointError, UnknownModelTypeError

#: The supported families, in the order in which the eager layout imports them.
MODEL_TYPES = ("gpt2", "gemma", "qwen2")


def check_model_type(model_type: object) -> None:
    """Raise `UnknownModelTypeError` unless ``model_type`` names a supported family."""
    if model_type not in MODEL_TYPES:
        allowed = ", ".join(map(repr, MODEL_TYPES))
        raise UnknownModelTypeError(f"unknown model_type {model_type!r}; allowed: {allowed}")


def check_split_points(first: object, second: object, blocks: int | None = None) -> None:
    """Raise `SplitPointError` unless ``0 <= first < second <= blocks``.

    A bottom without blocks (embeddings alone) and a top without blocks (norm and head alone) are
    useful cuts; a trunk without blocks computes nothing and is taken for a mistake.

    Args:
        first: The number of blocks in the bottom.
        second: The index of the first block in the top.
        blocks: The number of blocks in the model, ``None`` while it is not known.
    """
    given = f"split_point_1={first!r}, split_point_2={second!r}"
    for point in (first, second):
        if not isinstance(point, int) or isinstance(point, bool):
            raise SplitPointError(f"{given}: split points must be whole numbers")
    end = "number of blocks" if blocks is None else f"{blocks} (number of blocks)"
    if not 0 <= first < second or (blocks is not None and second > blocks):
        raise SplitPointError(f"{given}; allowed: 0 <= split_point_1 < split_point_2 <= {end}")
