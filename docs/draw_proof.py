"""Draws `docs/images/proof.svg` from what `benchmarks/proof.py resnet20` has measured: python docs/draw_proof.py"""

import json
import pathlib
import statistics
import sys

import svg

DOCS = pathlib.Path(__file__).parent

PATH = DOCS / "images" / "proof.svg"
MEASURED = DOCS.parent / "benchmarks" / "results" / "proof_resnet20.json"
WAYS = {
    "in fit": ("cut in fit", "accent", "circle"),
    "at once": ("cut at once, compensated", "accent", "square"),
    "torch-pruning": ("torch-pruning", "muted", "circle"),
    "from scratch": ("from scratch", "before", "square"),
    "dense": ("dense", "ink", "circle"),
}
"""What the ways are called, in their colours and shapes."""


def points(runs, way, x_of, y_of=lambda each: each["tuned"]):
    """Returns for each speed-up the mean of x, and mean, lowest and highest of y, over the seeds that have both."""
    found = []
    for name in dict.fromkeys(name for run in runs for name in run if name.rpartition(" ")[0] == way):
        pairs = [(x, y_of(run[name])) for run in runs if name in run and (x := x_of(run[name])) is not None]
        if pairs:
            xs, ys = zip(*pairs, strict=True)
            found.append((statistics.mean(xs), statistics.mean(ys), min(ys), max(ys)))
    return sorted(found)


def int8_file(each):
    """Returns the kilobytes of the int8 file, if there is one."""
    return each["files"]["int8"]["bytes"] / 1e3 if "files" in each else None


def parameters(each):
    """Returns the kilobytes of the parameters in float32."""
    return 4 * each["parameters"] / 1e3


def mark(x, y, colour, shape, is_filled=True):
    paint = svg.fill(colour) if is_filled else svg.stroke(colour, 1.5)
    if shape == "circle":
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" {paint}/>'
    return f'<rect x="{x - 3.5:.1f}" y="{y - 3.5:.1f}" width="7" height="7" {paint}/>'


class Panel:
    """One pair of axes."""

    def __init__(self, left, top, width, height, x_range, y_range):
        self._left, self._top, self._width, self._height = left, top, width, height
        self.x_range, self._y_range = x_range, y_range

    def x(self, value):
        low, high = self.x_range
        return self._left + self._width * (value - low) / (high - low)

    def y(self, value):
        low, high = self._y_range
        return self._top + self._height * (high - value) / (high - low)

    def axes(self, title, x_ticks, y_ticks, unit):
        base, right = self._top + self._height, self._left + self._width
        yield svg.text(self._left, self._top - 18, title, weight=600, size=15)
        for value in y_ticks:
            yield f'<line x1="{self._left}" y1="{self.y(value):.1f}" x2="{right}" y2="{self.y(value):.1f}" ' + (
                f"{svg.stroke('line', 0.5)}/>"
            )
            yield svg.text(self._left - 8, self.y(value) + 4, f"{value:g}", "muted", 12, "end")
        for value in x_ticks:
            yield svg.text(self.x(value), base + 18, f"{value:g}", "muted", 12, "middle")
        yield svg.text(right, base + 36, unit, "muted", 12, "end")

    def curve(self, found, colour, shape, is_filled=True):
        line = " ".join(f"{self.x(x):.1f},{self.y(y):.1f}" for x, y, *_ in found)
        yield f'<polyline points="{line}" {svg.stroke(colour, 1.5)}/>'
        for x, y, low, high in found:
            if high > low:
                ends = f'x1="{self.x(x):.1f}" y1="{self.y(low):.1f}" x2="{self.x(x):.1f}" y2="{self.y(high):.1f}"'
                yield f"<line {ends} {svg.stroke(colour, 1)}/>"
            yield mark(self.x(x), self.y(y), colour, shape, is_filled)


def ticks(low, high, most=6):
    """Returns round values from `low` to `high`."""
    step = next(step for step in (0.5, 1, 2, 5, 10, 20, 25, 50, 100, 200, 250, 500, 1000) if (high - low) / step < most)
    first = -(-low // step)
    return [step * number for number in range(int(first), int(high // step) + 1)]


def draw(path=MEASURED):
    """Returns the drawing of what a file of results holds."""
    runs = json.loads(pathlib.Path(path).read_text(encoding="utf-8"))["measured"]
    whole = statistics.mean(run["dense 1x"]["macs"] for run in runs)
    by_work = {way: points(runs, way, lambda each: 100 * each["macs"] / whole) for way in WAYS}
    by_size = {way: points(runs, way, parameters) for way in WAYS}
    int8 = {
        way: points(runs, way, int8_file, lambda each: each["files"]["int8"]["accuracy"]) for way in ("in fit", "dense")
    }
    seen = [y for each in (*by_work.values(), *int8.values()) for _, _, *ys in each for y in ys]
    y_range = min(seen) - 0.3, max(seen) + 0.3
    largest = max(x for each in by_size.values() for x, *_ in each)
    panels = (
        (Panel(50, 60, 290, 190, (0, 105), y_range), by_work, "Accuracy, %, over multiply-accumulates", "% left"),
        (
            Panel(430, 60, 290, 190, (0, 1.05 * largest), y_range),
            by_size,
            "Accuracy, %, over bytes",
            "kB of float32 weights",
        ),
    )
    parts = []
    for panel, found, title, unit in panels:
        parts += panel.axes(title, ticks(*panel.x_range), ticks(*y_range), unit)
        for way, (_, colour, shape) in WAYS.items():
            parts += panel.curve(found[way], colour, shape) if found[way] else ()
    for way, each in int8.items():
        parts += panels[1][0].curve(each, WAYS[way][1], WAYS[way][2], is_filled=False) if each else ()
    x = 50
    for way, (words, colour, shape) in WAYS.items():
        if by_work[way]:
            parts += [mark(x + 4, 312, colour, shape), svg.text(x + 14, 316, words, "muted", 12)]
            x += 34 + 6.4 * len(words)
    parts.append(svg.text(x, 316, "hollow: int8 file", "muted", 12))
    title = (
        "ResNet-20 on all of CIFAR-10: test accuracy over multiply-accumulates and over bytes, ours and torch-pruning"
    )
    return svg.drawing(760, 330, title, parts)


if __name__ == "__main__":
    measured, picture = sys.argv[1:] or (MEASURED, PATH)
    pathlib.Path(picture).write_text(draw(measured), encoding="utf-8")
