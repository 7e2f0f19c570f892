"""A profile as a table of plain text, as wide as the terminal."""

from rich import box
from rich.markup import escape
from rich.table import Table

from keras_slim.plain_text import printed

LETTERS = ("p", "n", "µ", "m", "", "k", "M", "G", "T")


def render(profile) -> str:
    """Returns a `ModelProfile` as text: a line per call, the totals, and what is missing from them.

    Args:
        profile: The `ModelProfile`.

    Returns:
        The table, as wide as the terminal (100 characters where there is none), without colours.
    """
    parts = [_table(profile)]
    if profile.macs:
        parts.append(_energy(profile))
    if 0 < profile.bits < 8 * profile.bytes:
        parts.append(f"As they are rounded, the weights take {scaled(profile.bits / 8, 'B')}.")
    if profile.unknown:
        parts.append(_note(profile.unknown))
    return printed(*parts)


def scaled(number, unit="") -> str:
    """Returns a number with four digits and its thousands, or thousandths, as a letter.

    Example:

    >>> scaled(512), scaled(15_470_264_320), scaled(2048, "B"), scaled(0.0000046, "J")
    ('512', '15.47 G', '2.048 kB', '4.6 µJ')
    """
    place = LETTERS.index("")
    while number >= 1000 and place < len(LETTERS) - 1:
        number, place = number / 1000, place + 1
    while 0 < number < 1 and place:
        number, place = number * 1000, place - 1
    return f"{number:.4g} {LETTERS[place]}{unit}".rstrip()


def _table(profile):
    table = Table(title=f"Model '{escape(profile.name)}'", box=box.SIMPLE_HEAD, show_footer=True, title_justify="left")
    table.add_column("Layer", "Total", overflow="fold", ratio=1)
    table.add_column("Output shape", overflow="fold")
    xnor = ("XNOR",) if profile.xnors else ()
    headings = "Parameters", "Bytes", "Mult.", "Add.", *xnor, "Share"
    for heading, total in zip(headings, (*_weights(profile), *_operations(profile, profile)), strict=True):
        table.add_column(heading, total, justify="right", no_wrap=True)
    for layer in profile.layers:
        is_unknown = layer.name in profile.unknown
        operations = ("?", "?", *("?" for _ in xnor), "?") if is_unknown else _operations(layer, profile)
        table.add_row(_title(layer), _shapes(layer), *_weights(layer), *operations)
    return table


def _title(layer):
    call = f", call {layer.call}" if layer.call > 1 else ""
    return escape(f"{layer.name} ({layer.kind}{call})")


def _shapes(layer):
    return ", ".join(str(shape[1:]) for shape in layer.output_shapes)


def _weights(cost):
    """Returns the columns on weights; a zero is left blank."""
    return (f"{cost.parameters:,}", scaled(cost.bytes, "B")) if cost.parameters else ("", "")


def _operations(cost, profile):
    """Returns the columns on operations, with the share of the multiply-accumulates; a zero is left blank.

    XNOR operations have a column where there are any.
    """
    numbers = cost.multiplications, cost.additions, *((cost.xnors,) if profile.xnors else ())
    if not cost.macs:
        return ("",) * (len(numbers) + 1)
    return *map(scaled, numbers), f"{cost.macs / profile.macs:.1%}"


def _energy(profile):
    figures = " or ".join(
        f"{scaled(profile.energy(precision) / 1e6, 'J')} in {precision}" for precision in ("float32", "int8")
    )
    return f"Arithmetic alone, without memory: an estimated {figures} (45 nm)."


def _note(unknown):
    names = ", ".join(unknown)
    return f"Operations not counted, for want of a rule: {names}. Add one with `keras_slim.profiling.register_work`."
