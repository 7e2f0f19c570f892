"""Which weights of a model share a value: the data that sharing and training with shared values exchange."""

from collections.abc import Iterator, Mapping

import numpy as np

from keras_slim.sparsity.arrays_file import read_arrays, write_arrays


class Codes(Mapping):
    """Which weights share a value, by the path of each kernel.

    All weights of a kernel with the same code have the same value. Code 0 is for zeros.

    Args:
        codes: Dictionary of paths, as in `keras_slim.sparsity.kernels`, to arrays of integers of the shape of the
            kernel.

    Example:

    >>> codes = Codes({"net/head/kernel": [[1, 2], [0, 1]]})
    >>> codes
    Codes(1 kernels, 2 values)
    >>> codes["net/head/kernel"].tolist()
    [[1, 2], [0, 1]]
    """

    def __init__(self, codes: Mapping):
        self._codes = {str(path): _small(np.asarray(each)) for path, each in codes.items()}

    def __getitem__(self, path: str) -> np.ndarray:
        return self._codes[path]

    def __iter__(self) -> Iterator[str]:
        return iter(self._codes)

    def __len__(self) -> int:
        return len(self._codes)

    def __eq__(self, other) -> bool:
        same = isinstance(other, Codes) and self._codes.keys() == other._codes.keys()
        return same and all(np.array_equal(each, other[path]) for path, each in self.items())

    def __repr__(self) -> str:
        return f"Codes({len(self)} kernels, {self.num_values} values)"

    @property
    def num_values(self) -> int:
        """Number of values other than zero, of all kernels."""
        return sum(map(_num_values, self.values()))

    @property
    def sparsity(self) -> float:
        """Share of zeros."""
        size = sum(map(np.size, self.values()))
        return 1 - sum(map(np.count_nonzero, self.values())) / size if size else 0.0

    def describe(self) -> str:
        """Returns a table in words: a line for each kernel.

        Example:

        >>> print(Codes({"net/head/kernel": [[1, 2], [0, 1]]}).describe())
        net/head/kernel: 2 values of 3 weights, 1 zeros
        """
        return "\n".join(
            f"{path}: {_num_values(each):,} values of {np.count_nonzero(each):,} weights, "
            f"{each.size - np.count_nonzero(each):,} zeros"
            for path, each in self.items()
        )

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Returns arrays of plain numbers, from which `from_arrays` makes the codes again."""
        arrays = {"kernels": np.array(len(self))}
        for number, (path, each) in enumerate(self.items()):
            arrays[f"{number}/path"], arrays[f"{number}/codes"] = np.array(path), each
        return arrays

    @classmethod
    def from_arrays(cls, arrays: Mapping) -> "Codes":
        """Returns the codes that `to_arrays` has written; other arrays may be among them.

        Raises:
            KeyError: If an array is missing.
        """
        numbers = range(int(arrays["kernels"]))
        return cls({str(arrays[f"{number}/path"]): arrays[f"{number}/codes"] for number in numbers})

    def save(self, path) -> None:
        """Writes the codes to a file that ends with `.npz`, whole or not at all."""
        write_arrays(path, self.to_arrays(), type(self).__name__)

    @classmethod
    def load(cls, path) -> "Codes":
        """Returns the codes in a file that `save` wrote.

        Raises:
            ValueError: If it is no such file.
        """
        return read_arrays(path, "kernels", cls.__name__, make=cls.from_arrays)


def _small(codes):
    """Returns codes that cannot be changed, in the smallest type that holds them."""
    codes = codes.astype(np.min_scalar_type(codes.max(initial=0)))
    codes.setflags(write=False)
    return codes


def _num_values(codes):
    """Returns the number of values other than zero."""
    return np.count_nonzero(np.bincount(codes.ravel(), minlength=1)[1:])
