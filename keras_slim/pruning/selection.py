"""Which units go: one ranking over the whole network, down to a target, within the guards."""

import numpy as np

WEIGHING_STEPS = 8


def protect(scores, graph, fewest):
    """Returns which units may not go: the best of each layer, as many as its guard says, and one on every axis.

    Layers that are tied can lie across each other (a concatenation that is added to something), so a group that is
    large enough may still hold a layer that would be left with nothing.

    Args:
        scores: Array of shape `(num_units,)`.
        graph: The `ChannelGraph`.
        fewest: Fewest units of each of `graph.layers`, in order.

    Returns:
        Boolean array of shape `(num_units,)`.
    """
    protected = np.zeros(len(scores), bool)
    for units, count in [*zip(graph.layers.values(), fewest, strict=True), *((axis, 1) for axis in graph.axes)]:
        order = np.argsort(scores[units], kind="stable")
        protected[units[order[len(units) - count :]]] = True
    return protected


def select(scores, group_of, protected, align, cost_of, target):
    """Removes the units of lowest score until a cost is reached.

    All units of the network stand in one ranking. The fewest are removed that reach the target; numbers of kept units
    are rounded up to the alignment.

    Args:
        scores: Array of shape `(num_units,)`, comparable over all groups. Ties go by position.
        group_of: Integer array of the same shape: the group of each unit, in ascending order.
        protected: Boolean array of the same shape: units that stay, as `protect` returns them.
        align: Function from numbers of kept units and sizes, of all groups, to rounded numbers (`Guards.aligner`).
        cost_of: Function from a boolean array (kept or not) to a number.
        target: The cost to come down to.

    Returns:
        Boolean array of shape `(num_units,)`: whether each unit is kept. Where the guards make the target
        unreachable, the smallest selection that they allow.
    """
    num_groups = group_of[-1] + 1 if len(group_of) else 0
    sizes = np.bincount(group_of, minlength=num_groups)
    order = np.lexsort((scores, protected))
    place = _place_in_group(order, group_of)
    candidates = order[~protected[order]]

    def keep_after(count):
        removed = np.bincount(group_of[candidates[:count]], minlength=num_groups)
        kept = align(sizes - removed, sizes)
        return place >= (sizes - kept)[group_of]

    low, high = 0, len(candidates)
    while low < high:
        middle = (low + high) // 2
        if cost_of(keep_after(middle)) <= target:
            high = middle
        else:
            low = middle + 1
    return _give_back(keep_after(low), place, scores, group_of, align, cost_of, target)


def select_weighed(scores, group_of, protected, align, cost_of, target, savings_of, power):
    """Removes the units of lowest score for what their removal saves, until a cost is reached.

    A score is divided by a power of the saving, which changes while other units go: the way down is cut into equal
    parts, and the savings are those at the beginning of each.

    Args:
        scores: As for `select`, and so are the other arguments.
        group_of: As for `select`.
        protected: As for `select`.
        align: As for `select`.
        cost_of: As for `select`.
        target: As for `select`.
        savings_of: Function from a selection to what the removal of each unit saves, an array of non-negative numbers.
        power: The power, from 0 (no matter what is saved) to 1.

    Returns:
        Boolean array of shape `(num_units,)`, as `select` returns it.
    """
    keep = np.ones(len(scores), bool)
    total = cost_of(keep)
    for left in np.linspace(total, target, WEIGHING_STEPS + 1)[1:]:
        ranking = np.where(keep, _weighed(scores, savings_of(keep), power), -np.inf)
        keep = select(ranking, group_of, protected, align, cost_of, left)
    return keep


def _weighed(scores, savings, power):
    """Returns scores by what is saved; a negative score, of a unit that does harm, is multiplied instead."""
    savings = np.maximum(savings / max(savings.mean(), 1e-30), 1e-9) ** power
    return np.where(scores < 0, scores * savings, scores / savings)


def _give_back(keep, place, scores, group_of, align, cost_of, target):
    """Returns a selection with units restored, best first, where the alignment made it overshoot the target.

    A group gets back one step of the alignment at a time, as long as the cost stays below the target.
    """
    cost, full, sizes = cost_of(keep), set(), np.bincount(group_of)
    for unit in np.argsort(-scores, kind="stable"):
        if target - cost <= 0.01 * target:
            break
        group = group_of[unit]
        if keep[unit] or group in full:
            continue
        kept = np.bincount(group_of[keep], minlength=len(sizes))
        kept[group] += 1
        wider = keep | ((group_of == group) & (place >= sizes[group] - align(kept, sizes)[group]))
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
