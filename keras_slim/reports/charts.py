"""Small pictures as SVG text, drawn in the colours of the page around them, light or dark.

They hold no words that a phone would shrink beyond reading but at the ends of axes; the page says the rest beside them.
"""

from html import escape

from keras_slim.profiling.table import scaled

_WIDTH, _HEIGHT = 360, 200
_LEFT, _RIGHT, _TOP, _BOTTOM = 58, 10, 10, 38


def bar(before, after, largest) -> str:
    """Returns a bar of what was, pale, and of what is left, on a scale up to the largest; numbers stand elsewhere."""
    parts = [
        f'<rect class="{name}" width="{100 * (size or 0) / (largest or 1):.2f}" height="10"/>'
        for name, size in (("was", before), ("is", after))
    ]
    return f'<svg class="bar" viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true">{"".join(parts)}</svg>'


def histogram(kernel, label) -> str:
    """Returns how the values of a kernel are spread; shared values are a line each.

    Args:
        kernel: A `KernelValues`.
        label: What the picture shows, for those who do not see it.
    """
    highest = max(kernel.counts, default=0) or 1
    if kernel.are_shared:
        low, high = kernel.values[0], kernel.values[-1]
        places = (100 * (value - low) / ((high - low) or 1) for value in kernel.values)
        pairs = zip(places, kernel.counts, strict=True)
        shape = "".join(f"M{x:.2f} 40V{40 - 39 * count / highest:.2f}" for x, count in pairs)
        drawn = f'<path class="shared" d="{shape}"/>'
    else:
        step = 100 / max(1, len(kernel.counts))
        steps = "".join(
            f"V{40 - 39 * count / highest:.2f}H{step * (place + 1):.2f}" for place, count in enumerate(kernel.counts)
        )
        drawn = f'<path class="is" d="M0 40{steps}V40Z"/>'
    return (
        f'<svg class="values" viewBox="-1 0 102 40" preserveAspectRatio="none" role="img" '
        f'aria-label="{escape(label)}">{drawn}</svg>'
    )


def search(trajectory, of, unit, label) -> str:
    """Returns how good each network of a search was, over its size.

    Args:
        trajectory: A `Trajectory`.
        of: Which size, a field of `Cost`.
        unit: What it counts, in words.
        label: What the picture shows, for those who do not see it.
    """
    sizes = [point.cost.amount(of) for point in trajectory.points]
    metrics = [point.metric for point in trajectory.points]
    lowest, highest = min(*metrics, trajectory.floor), max(*metrics, trajectory.floor)
    margin = (highest - lowest) * 0.1 or 0.01

    def x(size):
        return _LEFT + (_WIDTH - _LEFT - _RIGHT) * size / (1.05 * max(sizes))

    def y(metric):
        share = (metric - lowest + margin) / (highest - lowest + 2 * margin)
        return _HEIGHT - _BOTTOM - (_HEIGHT - _BOTTOM - _TOP) * share

    held = [(x(size), y(p.metric)) for size, p in zip(sizes, trajectory.points, strict=True) if p.held]
    lost = [(x(size), y(p.metric)) for size, p in zip(sizes, trajectory.points, strict=True) if not p.held]
    floor, right, ground = y(trajectory.floor), _WIDTH - _RIGHT, _HEIGHT - _BOTTOM
    parts = [
        f'<path class="axis" d="M{_LEFT} {_TOP}V{ground}H{right}"/>',
        f'<path class="floor" d="M{_LEFT} {floor:.1f}H{right}"/>',
        f'<polyline class="way" points="{" ".join(f"{a:.1f},{b:.1f}" for a, b in held)}"/>',
        *(f'<circle class="held" cx="{a:.1f}" cy="{b:.1f}" r="4"/>' for a, b in held),
        *(f'<path class="lost" d="M{a - 4:.1f} {b - 4:.1f}l8 8m0 -8l-8 8"/>' for a, b in lost),
        *(_text(_LEFT - 5, y(each) + 4, f"{each:.3g}", "end") for each in _apart(lowest, highest)),
        _text(_LEFT, _HEIGHT - 22, "0", "middle"),
        _text(x(max(sizes)), _HEIGHT - 22, scaled(max(sizes)), "middle"),
        _text((_LEFT + right) / 2, _HEIGHT - 4, escape(unit), "middle"),
    ]
    return (
        f'<svg class="chart" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(label)}">'
        f"{''.join(parts)}</svg>"
    )


def _apart(lowest, highest):
    return (lowest,) if lowest == highest else (lowest, highest)


def _text(x, y, words, anchor):
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{words}</text>'
