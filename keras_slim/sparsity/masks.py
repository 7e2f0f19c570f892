"""Which single weights are kept and which are zero: the data that all methods of this package exchange."""

from collections.abc import Iterator, Mapping

import keras
import numpy as np

from keras_slim.errors import PlanMismatchError
from keras_slim.sparsity.arrays_file import read_arrays, write_arrays
from keras_slim.sparsity.kernels import advice_on_names, kernels


class Masks(Mapping):
    """Which weights of a model are kept, by the path of each kernel.

    Args:
        kept: Dictionary of paths, as in `keras_slim.sparsity.kernels`, to arrays of the shape of the kernel, of
            booleans or of zeros and ones.

    Raises:
        ValueError: If an array holds anything else.

    Example:

    >>> masks = Masks({"net/head/kernel": [[1, 0], [0, 0]]})
    >>> masks.sparsity
    0.75
    >>> masks["net/head/kernel"]
    array([[ True, False],
           [False, False]])
    """

    def __init__(self, kept: Mapping):
        self._kept = {str(path): _checked(path, mask) for path, mask in kept.items()}

    def __getitem__(self, path: str) -> np.ndarray:
        return self._kept[path]

    def __iter__(self) -> Iterator[str]:
        return iter(self._kept)

    def __len__(self) -> int:
        return len(self._kept)

    def __eq__(self, other) -> bool:
        same = isinstance(other, Masks) and self._kept.keys() == other._kept.keys()
        return same and all(np.array_equal(mask, other[path]) for path, mask in self.items())

    def __repr__(self) -> str:
        return f"Masks({len(self)} kernels, sparsity={self.sparsity:.4f})"

    @classmethod
    def nonzero(cls, model: keras.Model, paths=None) -> "Masks":
        """Returns the masks that keep what is not zero in a model.

        Args:
            model: A built model.
            paths: Paths of the kernels to look at. Defaults to all.
        """
        found = kernels(model)
        return cls({path: found[path].numpy() != 0 for path in (found if paths is None else paths)})

    @classmethod
    def ones(cls, weights: Mapping) -> "Masks":
        """Returns the masks that keep all of some weights, by path."""
        return cls({path: np.ones(weight.shape, bool) for path, weight in weights.items()})

    @property
    def size(self) -> int:
        """Number of weights in all."""
        return sum(mask.size for mask in self.values())

    @property
    def kept(self) -> int:
        """Number of weights that are kept."""
        return sum(int(np.count_nonzero(mask)) for mask in self.values())

    @property
    def sparsity(self) -> float:
        """Share of zeros."""
        return 1 - self.kept / self.size if self.size else 0.0

    def apply(self, model: keras.Model) -> None:
        """Sets the weights of a model to zero that are not kept. Nothing holds them there; callbacks do.

        Raises:
            PlanMismatchError: If the model has no such kernels; nothing is changed.
        """
        for path, weight in self.weights(model).items():
            weight.assign(np.where(self[path], weight.numpy(), 0))

    def weights(self, model: keras.Model) -> dict[str, keras.Variable]:
        """Returns the kernels of a model that these masks are for, by path.

        Raises:
            PlanMismatchError: If the model has no such kernels.
        """
        found = kernels(model, trained_only=False)
        wrong = [
            f"{path}: {mask.shape} against {tuple(found[path].shape) if path in found else 'no such kernel'}"
            for path, mask in self.items()
            if path not in found or mask.shape != tuple(found[path].shape)
        ]
        if wrong:
            shapes = {path: tuple(weight.shape) for path, weight in found.items()}
            advice = advice_on_names({path: mask.shape for path, mask in self.items()}, shapes)
            raise PlanMismatchError(
                f"The masks are for another model than '{model.name}'. Expected its kernels to have the shapes of the "
                f"masks. Received: {'; '.join(wrong)}. {advice}"
            )
        return {path: found[path] for path in self}

    def shuffled(self, seed: int) -> "Masks":
        """Returns masks that keep as many weights of each kernel, at random places: the control of a mask."""
        rng = np.random.default_rng(seed)
        return Masks({path: rng.permutation(mask.ravel()).reshape(mask.shape) for path, mask in self.items()})

    def describe(self) -> str:
        """Returns a table in words: a line for each kernel, and one for all.

        Example:

        >>> print(Masks({"net/head/kernel": [[1, 0], [0, 0]]}).describe())
        net/head/kernel: 1 of 4 kept, sparsity 0.750
        all: 1 of 4 kept, sparsity 0.750
        """
        rows = [(path, int(np.count_nonzero(mask)), mask.size) for path, mask in self.items()]
        rows.append(("all", self.kept, self.size))
        return "\n".join(
            f"{path}: {kept:,} of {size:,} kept, sparsity {1 - kept / max(size, 1):.3f}" for path, kept, size in rows
        )

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Returns arrays of plain numbers, one bit a weight, from which `from_arrays` makes the masks again."""
        arrays = {"kernels": np.array(len(self))}
        for number, (path, mask) in enumerate(self.items()):
            arrays[f"{number}/path"] = np.array(path)
            arrays[f"{number}/shape"] = np.array(mask.shape, "int64")
            arrays[f"{number}/bits"] = np.packbits(mask)
        return arrays

    @classmethod
    def from_arrays(cls, arrays: Mapping) -> "Masks":
        """Returns the masks that `to_arrays` has written; other arrays may be among them.

        Raises:
            KeyError: If an array is missing.
            ValueError: If there are not as many bits as weights.
        """
        return cls(dict(_unpacked(arrays, number) for number in range(int(arrays["kernels"]))))

    def save(self, path) -> None:
        """Writes the masks to a file that ends with `.npz`, whole or not at all."""
        write_arrays(path, self.to_arrays(), type(self).__name__)

    @classmethod
    def load(cls, path) -> "Masks":
        """Returns the masks in a file that `save` wrote.

        Raises:
            ValueError: If it is no such file.
        """
        return read_arrays(path, "kernels", cls.__name__, make=cls.from_arrays)


def _unpacked(arrays, number):
    """Returns the path and the mask of a kernel."""
    shape, bits = arrays[f"{number}/shape"], arrays[f"{number}/bits"]
    size = int(np.prod(shape))
    if bits.size != -(-size // 8):
        raise ValueError(f"{bits.size} bytes for {size} weights")
    return str(arrays[f"{number}/path"]), np.unpackbits(bits, count=size).reshape(shape)


def _checked(path, mask):
    mask = np.asarray(mask)
    if mask.dtype != bool and not np.isin(mask, (0, 1)).all():
        raise ValueError(
            f"Invalid mask of '{path}'. Expected booleans, or zeros and ones. Received: {mask.ravel()[:8]}"
        )
    mask = mask.astype(bool)
    mask.setflags(write=False)
    return mask
