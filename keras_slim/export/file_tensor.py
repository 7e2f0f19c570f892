"""What goes into a file and comes out of it, as an app has to know it: name, shape, type, scale and zero point."""

import dataclasses
import math


@dataclasses.dataclass(frozen=True)
class FileTensor:
    """An input or an output of a LiteRT file.

    Args:
        name: Its name in the file's signature.
        shape: Its shape, with the batch; None where any size goes.
        dtype: Type of what is stored, such as `"float32"` or `"int8"`.
        scale: Where integers stand for real numbers, the difference between two neighbours; None where numbers stand
            for themselves.
        zero_point: Where integers stand for real numbers, the one that stands for 0; None elsewhere.

    Example:

    >>> scores = FileTensor("scores", (1, 10), "int8", 0.00390625, -128)
    >>> print(scores)
    scores: int8 (1, 10), scale 0.00390625, zero point -128
    >>> scores.size
    10
    """

    name: str
    shape: tuple[int | None, ...]
    dtype: str
    scale: float | None = None
    zero_point: int | None = None

    @property
    def size(self) -> int:
        """How many numbers it holds; a dimension of any size counts as one."""
        return math.prod(size or 1 for size in self.shape)

    def to_dict(self) -> dict:
        """Returns the facts as plain Python values, as JSON can hold them."""
        return dataclasses.asdict(self) | {"shape": list(self.shape)}

    def __str__(self) -> str:
        stands_for = "" if self.scale is None else f", scale {self.scale:.9g}, zero point {self.zero_point}"
        return f"{self.name}: {self.dtype} {self.shape}{stands_for}"
