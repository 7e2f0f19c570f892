"""Guards: what a cut may not do, however low the scores."""

from dataclasses import dataclass

import numpy as np

from keras_slim.validation import check_count, check_share


@dataclass(frozen=True)
class Guards:
    """Keeps a global ranking from emptying a layer.

    Args:
        min_units: Fewest units a layer keeps. Defaults to 4.
        max_ratio: Largest share of its units that one layer may lose in all. Defaults to 0.9.
        max_ratio_per_round: The same for one round of progressive pruning, of the units it has at the time. Defaults
            to 0.5.
        align: Numbers of kept units are rounded up to a multiple of this, because odd widths run slower on phones.
            A group of at most this many units is not aligned, since it could lose nothing. Defaults to 8; 1 switches
            it off.
    """

    min_units: int = 4
    max_ratio: float = 0.9
    max_ratio_per_round: float = 0.5
    align: int = 8

    def __post_init__(self):
        check_count(self.min_units, "min_units", "Guards")
        check_share(self.max_ratio, "max_ratio", "Guards", one=True)
        check_share(self.max_ratio_per_round, "max_ratio_per_round", "Guards", one=True)
        check_count(self.align, "align", "Guards")

    def fewest(self, sizes, original_sizes=None):
        """Returns the fewest units each layer must keep in one cut.

        Args:
            sizes: Integer array: how many units each layer has now.
            original_sizes: How many it had before the first round; `None` if this is the only cut, which then need
                not respect `max_ratio_per_round`.

        Returns:
            Integer array.
        """
        sizes = np.asarray(sizes, int)
        whole = sizes if original_sizes is None else np.asarray(original_sizes, int)
        fewest = np.maximum(self.min_units, _share(whole, 1 - self.max_ratio))
        if original_sizes is not None:
            fewest = np.maximum(fewest, _share(sizes, 1 - self.max_ratio_per_round))
        return np.minimum(sizes, fewest)

    def aligner(self, original_sizes):
        """Returns the function that rounds numbers of kept units up to the alignment, at most to the groups' sizes.

        Args:
            original_sizes: The groups' sizes before the first cut. Small ones are not aligned.

        Returns:
            Function of two integer arrays, numbers of kept units and sizes now, to an integer array.
        """
        is_small = np.asarray(original_sizes, int) <= self.align

        def align(kept, sizes):
            return np.where(is_small, kept, np.minimum(-(-kept // self.align) * self.align, sizes))

        return align


def _share(sizes, share):
    """Returns `ceil(sizes * share)`, safe from rounding errors such as 0.30000000000000004 * 10."""
    return np.ceil(np.round(sizes * share, 6)).astype(int)
