"""Guards: what a cut may not do, however low the scores."""

from dataclasses import dataclass

import numpy as np

from keras_slim.distribution import parts_along
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

    def aligner(self, original_sizes, parts=1):
        """Returns the function that rounds numbers of kept units up to the alignment, at most to the groups' sizes.

        Args:
            original_sizes: The groups' sizes before the first cut. Small ones are not aligned.
            parts: Into how many equal parts the numbers must be divisible too, by group. Defaults to 1.

        Returns:
            Function of two integer arrays, numbers of kept units and sizes now, to an integer array.
        """
        is_small = np.asarray(original_sizes, int) <= self.align
        multiple = np.lcm(np.where(is_small, 1, self.align), parts)

        def align(kept, sizes):
            return np.minimum(-(-kept // multiple) * multiple, sizes)

        return align


def parts_of_groups(graph):
    """Returns into how many equal parts devices divide what stands along the units of each group, an integer array."""
    parts, group_of = np.ones(len(graph.groups), int), graph.group_of()
    for slot in graph.slots:
        groups = np.unique(group_of[slot.units[slot.units >= 0]])
        parts[groups] = np.lcm(parts[groups], parts_along(slot.variable, slot.axis))
    return parts


def _share(sizes, share):
    """Returns `ceil(sizes * share)`, safe from rounding errors such as 0.30000000000000004 * 10."""
    return np.ceil(np.round(sizes * share, 6)).astype(int)
