"""How the values of a kernel are spread, or which few values it shares: data for pictures."""

import dataclasses

import keras
import numpy as np

_BINS, _MOST_VALUES = 60, 256


@dataclasses.dataclass(frozen=True)
class KernelValues:
    """The values of one kernel that are not zero, counted.

    Args:
        path: Path of the weight.
        size: Number of its elements.
        kept: Number of those that are finite and not zero.
        are_shared: Whether it shares up to 256 values; then each stands by itself.
        values: The shared values, ascending; or the edges of equally wide bins, one more than there are counts.
        counts: How many elements have each value, or lie in each bin.
    """

    path: str
    size: int
    kept: int
    are_shared: bool
    values: tuple[float, ...]
    counts: tuple[int, ...]

    @property
    def distinct(self) -> int:
        """Number of values other than zero; each element is taken to have its own where they are not shared."""
        return len(self.values) if self.are_shared else self.kept

    @property
    def title(self) -> str:
        """The path, and the share of the elements that are not zero."""
        return f"{self.path}, {self.kept / max(1, self.size):.1%} kept"


def kernel_values(model: keras.Model) -> tuple[KernelValues, ...]:
    """Returns the `KernelValues` of each weight that is a matrix or more."""
    kernels = [weight for weight in model.weights if len(weight.shape) > 1]
    return tuple(_counted(kernel.path, keras.ops.convert_to_numpy(kernel)) for kernel in kernels)


def nonzero(kernel) -> np.ndarray:
    """Returns the values of a kernel that are finite and not zero, float64, of one axis."""
    kernel = np.asarray(kernel).astype("float64").ravel()
    return kernel[np.isfinite(kernel) & (kernel != 0)]


def shared_values(kept: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the values that numbers share, ascending, and how many have each: none if there are too many of them."""
    values, counts = np.unique(kept, return_counts=True)
    is_shared = len(values) <= min(_MOST_VALUES, kept.size // 2)
    return (values, counts) if is_shared else (values[:0], counts[:0])


def _counted(path, kernel):
    kept = nonzero(kernel)
    values, counts = shared_values(kept)
    are_shared = len(values) > 0
    if not are_shared:
        counts, values = np.histogram(kept, bins=_BINS)
    return KernelValues(path, kernel.size, kept.size, are_shared, tuple(values.tolist()), tuple(counts.tolist()))
