"""How many bits an integer may have."""

from keras_slim.errors import invalid_argument
from keras_slim.validation import check_count


def check_bits(value, name, owner) -> int:
    """Returns a number of bits, 2 to 8, or raises `TypeError` or `ValueError`."""
    if isinstance(value, int) and not isinstance(value, bool) and not 2 <= value <= 8:
        hint = {1: "For one bit, use 'binary', 'binary_scaled' or 'sign'."}.get(value, "")
        raise ValueError(invalid_argument(name, owner, expected="2 to 8 bits", received=value, hint=hint))
    return check_count(value, name, owner, minimum=2)
