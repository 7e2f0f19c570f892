"""Which units go: one ranking over the whole network, down to a target, within the guards."""

import numpy as np


def select(scores, group_of, fewest, guards, cost_of, target):
    """Removes the units of lowest score until a cost is reached.

    All units of the network stand in one ranking. A group that has reached its floor loses no more, and numbers of
    kept units are rounded up to the alignment. The fewest units are removed that reach the target.

    Args:
        scores: Array of shape `(num_units,)`, comparable over all groups. Ties go by position.
        group_of: Integer array of the same shape: the group of each unit, in ascending order.
        fewest: Integer array: units each group must keep.
        guards: The `Guards`, for the alignment.
        cost_of: Function from a boolean array (kept or not) to a number.
        target: The cost to come down to.

    Returns:
        Boolean array of shape `(num_units,)`: whether each unit is kept. Where the guards make the target
        unreachable, the smallest selection that they allow.
    """
    sizes = np.bincount(group_of, minlength=len(fewest))
    order = np.argsort(scores, kind="stable")
    place = _place_in_group(order, group_of)
    candidates = order[place[order] < (sizes - fewest)[group_of[order]]]

    def keep_after(count):
        removed = np.bincount(group_of[candidates[:count]], minlength=len(fewest))
        kept = guards.aligned(sizes - removed, sizes)
        return place >= (sizes - kept)[group_of]

    low, high = 0, len(candidates)
    while low < high:
        middle = (low + high) // 2
        if cost_of(keep_after(middle)) <= target:
            high = middle
        else:
            low = middle + 1
    return _give_back(keep_after(low), scores, group_of, guards, cost_of, target)


def _give_back(keep, scores, group_of, guards, cost_of, target):
    """Returns a selection with units restored, best first, where the alignment made it overshoot the target.

    A group gets back one step of the alignment at a time, as long as the cost stays below the target.
    """
    slack = 0.01 * target
    full = set()
    cost = cost_of(keep)
    for unit in np.argsort(-scores, kind="stable"):
        if target - cost <= slack:
            break
        group = group_of[unit]
        if keep[unit] or group in full:
            continue
        lost = np.flatnonzero((group_of == group) & ~keep)
        size, kept = np.sum(group_of == group), np.sum((group_of == group) & keep)
        step = guards.aligned(kept + 1, size) - kept
        wider = keep.copy()
        wider[lost[np.argsort(-scores[lost], kind="stable")][:step]] = True
        if cost_of(wider) <= target:
            keep, cost = wider, cost_of(wider)
        else:
            full.add(group)
    return keep


def _place_in_group(order, group_of):
    """Returns each unit's place in the ranking of its own group, 0 for the lowest score."""
    place = np.empty(len(order), int)
    by_group = order[np.argsort(group_of[order], kind="stable")]
    starts = np.searchsorted(group_of, group_of[by_group])
    place[by_group] = np.arange(len(order)) - starts
    return place
