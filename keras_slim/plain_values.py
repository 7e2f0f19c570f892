"""Values that JSON has words for."""

import math
from typing import Any

import numpy as np


def plain(value: Any) -> Any:
    """Returns values, nested ones too, with numbers and lists of Python for those of NumPy.

    Example:

    >>> plain({"bits": np.int64(3), "window": (np.float32(0.5), 0.75)})
    {'bits': 3, 'window': (0.5, 0.75)}
    """
    if isinstance(value, dict):
        return {name: plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(map(plain, value))
    return value.tolist() if isinstance(value, np.generic | np.ndarray) else value


def finite(value: Any) -> Any:
    """Returns plain values, nested ones too, with `None` for each number that is infinite or none at all.

    Python writes such numbers as `NaN` and `Infinity`, which are no JSON: most readers refuse them.
    """
    if isinstance(value, dict):
        return {name: finite(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
