"""What additions and multiplications cost in energy: an estimate of arithmetic alone, from published figures."""

from keras_slim.errors import did_you_mean, invalid_argument, one_of

PICOJOULES = {"float32": (3.7, 0.9), "float16": (1.1, 0.4), "int32": (3.1, 0.1), "int8": (0.2, 0.03)}
"""Energy of a multiplication and of an addition in a 45 nm process at 0.9 V, by precision (Horowitz 2014)."""


def arithmetic_energy(multiplications: int, additions: int, precision: str = "float32") -> float:
    """Estimates the energy of multiplications and additions, in microjoules.

    In a 45 nm process at 0.9 V: 3.7 pJ for a multiplication in float32 and 0.9 pJ for an addition; 1.1 and 0.4 in
    float16, 3.1 and 0.1 in int32, 0.2 and 0.03 in int8. That is arithmetic alone: fetching weights and activations
    from memory often takes more, and an 8-bit network adds its products up in wider integers. So it tells two
    networks apart by what they compute; it is not what a device draws.

    Args:
        multiplications: How many there are.
        additions: How many there are.
        precision: `"float32"`, `"float16"`, `"int32"` or `"int8"`.

    Returns:
        Microjoules.

    Raises:
        ValueError: If the precision is unknown.

    Example:

    >>> round(arithmetic_energy(1_000_000, 1_000_000), 3), round(arithmetic_energy(0, 2_000_000), 3)
    (4.6, 1.8)

    Reference:
        Horowitz 2014, "Computing's energy problem (and what we can do about it)", ISSCC, figure 1.1.9.
    """
    if precision not in PICOJOULES:
        raise ValueError(
            invalid_argument(
                "precision",
                "arithmetic_energy",
                expected=one_of(PICOJOULES),
                received=precision,
                hint=did_you_mean(precision, PICOJOULES),
            )
        )
    multiplication, addition = PICOJOULES[precision]
    return (multiplications * multiplication + additions * addition) / 1e6
