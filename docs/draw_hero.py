"""Draws `docs/images/hero.svg` from what `benchmarks/quickstart.py` has measured: python docs/draw_hero.py"""

import json
import pathlib

import svg

DOCS = pathlib.Path(__file__).parent

PATH = DOCS / "images" / "hero.svg"
SHOWN = {
    "multiply-accumulates": "multiply-accumulates",
    "float32 file": "float32 file",
    "int8 file": "int8 file",
    "float32 LiteRT, 1 thread": "float32 time, LiteRT",
}


def millions(macs):
    return f"{macs / 1e6:.2f} M"


def staircase(run, left, top, width, height):
    """Draws the multiply-accumulates over the epochs of the one `fit`."""
    before = next(row["before"] for row in run["comparison"]["rows"] if row["label"] == "multiply-accumulates")
    steps = [(0, before), *((each["epoch"] + 1, each["macs"]) for each in run["rounds"])]
    ends = [epoch for epoch, _ in steps[1:]] + [run["epochs"]]

    def x(epoch):
        return left + width * epoch / run["epochs"]

    def y(macs):
        return top + height * (1 - macs / before)

    corners = []
    for (start, macs), end in zip(steps, ends, strict=True):
        corners += [(x(start), y(macs)), (x(end), y(macs))]
    line = " ".join(f"{a:.1f},{b:.1f}" for a, b in corners)
    base = top + height
    yield svg.text(left, top - 30, "It shrinks inside one fit", weight=600, size=15)
    yield f'<polygon points="{left},{base} {line} {left + width},{base}" {svg.fill("wash")}/>'
    yield f'<polyline points="{line}" {svg.stroke("accent", 2.5)}/>'
    yield f'<line x1="{left}" y1="{base}" x2="{left + width}" y2="{base}" {svg.stroke("line")}/>'
    yield svg.text(left, top - 8, f"{millions(before)} multiply-accumulates", "muted", 12)
    yield svg.text(left + width, y(steps[-1][1]) - 8, millions(steps[-1][1]), "accent", 13, "end", 600)
    yield svg.text(left, base + 18, "first epoch", "muted", 12)
    yield svg.text(x(steps[1][0] + 1), base + 18, f"{len(steps) - 1} cuts", "muted", 12)
    yield svg.text(left + width, base + 18, f"epoch {run['epochs']}", "muted", 12, "end")


def bars(run, left, top, width):
    """Draws what is left of each cost, as a share."""
    rows = {row["label"]: row for row in run["comparison"]["rows"]}
    yield svg.text(left, top - 30, "What is left of it", weight=600, size=15)
    for number, (label, words) in enumerate(SHOWN.items()):
        row, y = rows[label], top + 38 * number
        share = row["after"] / row["before"]
        yield svg.text(left, y, words, "muted", 12)
        yield svg.text(left + width, y, f"{share:.0%}", "accent", 13, "end", 600)
        yield svg.box(left, y + 7, width, 9, "before")
        yield svg.box(left, y + 7, width * share, 9, "accent")
    row = rows["test accuracy"]
    y = top + 38 * len(SHOWN) + 8
    yield svg.text(left, y, "test accuracy", "muted", 12)
    yield svg.text(left + width, y, f"{row['before']:.1%} → {row['after']:.1%}", "accent", 13, "end", 600)


def draw():
    """Returns the drawing of the first seed."""
    data = json.loads((DOCS.parent / "benchmarks" / "results" / "quickstart.json").read_text(encoding="utf-8"))
    run = data["measured"][0]
    title = "A network for digits, pruned inside one fit: multiply-accumulates by epoch, and what is left of its costs"
    return svg.drawing(760, 250, title, [*staircase(run, 20, 62, 400, 150), *bars(run, 480, 62, 260)])


if __name__ == "__main__":
    PATH.write_text(draw(), encoding="utf-8")
