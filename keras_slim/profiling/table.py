"""A profile as a table of plain text, as wide as the terminal."""

from rich import box
from rich.markup import escape
from rich.table import Table

from keras_slim.plain_text import printed

LETTERS = ("p", "n", "µ", "m", "", "k", "M", "G", "T")


def render(profile, all_layers=False) -> str:
    """Returns a `ModelProfile` as text: a line per call, the totals, and what is missing from them.

    Args:
        profile: The `ModelProfile`.
        all_layers: Whether layers have a line that have no weights and count no operations.

    Returns:
        The table, as wide as the terminal (100 characters where there is none), without colours.
    """
    shown = [layer for layer in profile.layers if all_layers or _counts(layer, profile)]
    parts = [_table(profile, shown), _totals(profile)]
    if len(shown) < len(profile.layers):
        parts.append(_left_out(len(profile.layers) - len(shown)))
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


def _counts(layer, profile):
    return layer.parameters or layer.macs or layer.name in profile.unknown


def _table(profile, layers):
    table = Table(title=f"Model '{escape(profile.name)}'", box=box.SIMPLE_HEAD, show_footer=True, title_justify="left")
    table.add_column("Layer", "Total", overflow="fold", ratio=1)
    table.add_column("Output shape", overflow="fold")
    headings = "Parameters", *_operation_headings(profile), "% of MACs"
    for heading, total in zip(headings, (_parameters(profile), *_operations(profile, profile)), strict=True):
        table.add_column(heading, total, justify="right", no_wrap=True)
    for layer in layers:
        is_unknown = layer.name in profile.unknown
        operations = ("?",) * (len(headings) - 1) if is_unknown else _operations(layer, profile)
        table.add_row(_title(layer), _shapes(layer), _parameters(layer), *operations)
    return table


def _operation_headings(profile):
    """Returns one heading where every operation is a multiply-accumulate, else one for each kind there is."""
    if profile.macs == profile.multiplications == profile.additions:
        return ("MACs",)
    return "Mult.", "Add.", *(("XNOR",) if profile.xnors else ())


def _title(layer):
    call = f", call {layer.call}" if layer.call > 1 else ""
    return escape(f"{layer.name} ({layer.kind}{call})")


def _shapes(layer):
    return ", ".join(str(shape[1:]) for shape in layer.output_shapes)


def _parameters(cost):
    return f"{cost.parameters:,}" if cost.parameters else ""


def _operations(cost, profile):
    """Returns the columns on operations, with the share of the multiply-accumulates; a zero is left blank."""
    numbers = {"MACs": cost.macs, "Mult.": cost.multiplications, "Add.": cost.additions, "XNOR": cost.xnors}
    headings = _operation_headings(profile)
    if not cost.macs:
        return ("",) * (len(headings) + 1)
    return *(scaled(numbers[heading]) for heading in headings), f"{cost.macs / profile.macs:.1%}"


def _totals(profile):
    weights = f"{profile.parameters:,} parameters take {scaled(profile.bytes, 'B')}"
    macs = f"one sample takes {scaled(profile.macs)} multiply-accumulates (MACs)"
    if profile.macs == profile.multiplications == profile.additions:
        return f"{weights}; {macs}."
    return f"{weights}; {macs}, or what stands in their place where a layer does not multiply."


def _left_out(number):
    layers = "1 layer that counts" if number == 1 else f"{number:,} layers that count"
    return f"Not shown: {layers} nothing. `table(all_layers=True)` shows all, and so does --all."


def _energy(profile):
    figures = " or ".join(
        f"{scaled(profile.energy(precision) / 1e6, 'J')} in {precision}" for precision in ("float32", "int8")
    )
    return f"Arithmetic alone, without memory: an estimated {figures} (45 nm)."


def _note(unknown):
    names = ", ".join(unknown)
    return f"Operations not counted, for want of a rule: {names}. Add one with `keras_slim.profiling.register_work`."
