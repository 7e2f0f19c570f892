"""What pictures have in common: colours, figures, and bars of before and after.

matplotlib is imported when a picture is drawn: importing it takes a second. The figures belong to no window and no
global state: save one with `figure.savefig("picture.png")`; a notebook shows it by itself. Colours are those of Okabe
and Ito, which the colour-blind can tell apart.
"""

BLUE, ORANGE, PALE = "#0072B2", "#D55E00", "#CFCFCF"

MOST_ROWS = 40
"""Rows that are drawn one below the other: with more, names cannot be read."""


def new_figure(width, height):
    """Returns a new `matplotlib.figure.Figure`; width and height in inches."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), dpi=150, layout="constrained")


def height_of(num_bars):
    """Returns how high a figure of so many bars is, in inches."""
    return 1.6 + 0.32 * num_bars


def draw_before_and_after(axes, names, before, after, *, unit):
    """Draws a bar for each name: in grey what was, in blue what is left, with the numbers beside it.

    Args:
        axes: Axes of matplotlib.
        names: What stands on the left.
        before: Numbers.
        after: Numbers that are not larger, as a rule.
        unit: What is counted, under the bars.
    """
    draw_bars(axes, names, before, [f"{new:,} of {old:,}" for old, new in zip(before, after, strict=True)], PALE)
    axes.barh(range(len(names)), after, height=0.62, color=BLUE, label="after")
    axes.patches[0].set_label("before")
    axes.set_xlabel(unit)


def draw_bars(axes, names, values, words, color):
    """Draws a horizontal bar for each name, the first on top.

    Args:
        axes: Axes of matplotlib.
        names: What stands on the left.
        values: How long the bars are.
        words: What stands at their ends.
        color: Colour of the bars.
    """
    bars = axes.barh(range(len(names)), values, height=0.62, color=color)
    axes.bar_label(bars, words, padding=4, fontsize=9)
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set_xlim(0, (max(values) or 1) * (1.06 + 0.03 * max(map(len, words))))
    clean(axes)


def clean(axes):
    """Takes away the frame on the right and above."""
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def add_legend(axes):
    """Puts a legend above the axes."""
    axes.figure.legend(*axes.get_legend_handles_labels(), loc="outside upper right", ncols=2, frameon=False)


def tell_hidden(figure, hidden, what):
    """Says below a picture how many rows are not in it, none larger than those that are."""
    if hidden:
        figure.supxlabel(f"{hidden} more {what}, none of them larger, are not shown", fontsize=9)
