"""Values that JSON has words for."""

import math
from typing import Any


def finite(value: Any) -> Any:
    """Returns plain values, nested ones too, with `None` for each number that is infinite or none at all.

    Python writes such numbers as `NaN` and `Infinity`, which are no JSON: most readers refuse them.
    """
    if isinstance(value, dict):
        return {name: finite(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
