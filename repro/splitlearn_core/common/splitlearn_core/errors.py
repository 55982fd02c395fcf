"""What `ModelFactory.create_split_models` raises for a request it cannot serve.

Every error is also the builtin that a caller would expect, so that no one has to import this
module to handle one.
"""


class SplitError(Exception):
    """Root of the tree; never raised itself."""


class UnknownModelTypeError(SplitError, ValueError):
    """The model type is not one of the supported families."""


class SplitPointError(SplitError, ValueError):
    """The split points are not whole numbers, out of order, or outside the model's blocks."""


class FamilyMismatchError(SplitError, ValueError):
    """The checkpoint holds a model of another family than the one asked for."""


class IncompleteModelError(SplitError, ValueError):
    """The checkpoint lacks weights, which transformers would have made up."""


class ModelNotFoundError(SplitError, FileNotFoundError):
    """There is no model under the given directory or hub name."""
