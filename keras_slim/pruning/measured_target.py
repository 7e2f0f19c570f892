"""Coming down to a cost that has to be measured, in few measurements."""

MOST_MEASUREMENTS = 8


def reach(target, whole, now, choose, count, measure, tolerance):
    """Chooses what to keep, so that a measured cost falls to a target.

    The cost is taken to run along a straight line over a count that foretells it: through the two last measurements as
    long as all are above the target, then through the nearest ones above and below it (*regula falsi*), in turns with
    the middle between them where the line is a poor guide.

    Args:
        target: What the cost must come down to.
        whole: The selection of all that there is, an array, as all selections are.
        now: What it costs.
        choose: Function from an amount to the selection whose count comes down to it; from 0 to the deepest one.
        count: Function from a selection to its count.
        measure: Function from a selection to its cost.
        tolerance: Share of the target by which it may be undercut while other selections are left to try.

    Returns:
        The selection and its cost: the largest selection found that is not above the target, or the
        deepest one if none is.
    """
    if now <= target:
        return whole, now
    above, below, best = (count(whole), now), (0, 0), None
    seen, sides = {whole.tobytes()}, []
    while target > 0 and len(seen) <= MOST_MEASUREMENTS:
        amounts = [_on_line(above, below, target * (1 - tolerance / 2)), (above[0] + below[0]) / 2]
        if best and sides[-2:] in ([True, True], [False, False]):
            amounts.reverse()
        keep = next((keep for keep in map(choose, amounts) if keep.tobytes() not in seen), None)
        if keep is None:
            break
        seen.add(keep.tobytes())
        point = count(keep), measure(keep)
        sides.append(point[1] > target)
        if point[1] <= target:
            below, best = point, (keep, point[1])
            if point[1] >= target * (1 - tolerance):
                break
        elif best is None:
            above, below = point, (0, _on_line(above[::-1], point[::-1], 0))
        else:
            above = point
    if best is None:
        keep = choose(0)
        best = keep, measure(keep)
    return best


def _on_line(one, other, cost):
    """Returns the count at which the line through two points has a cost, but no less than 0."""
    slope = (one[0] - other[0]) / ((one[1] - other[1]) or float("inf"))
    return max(0, other[0] + slope * (cost - other[1]))
