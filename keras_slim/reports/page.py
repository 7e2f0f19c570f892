"""The page of a report: HTML with its style and its pictures inside, which asks nothing of any network."""

import functools
import importlib.resources
from html import escape

from keras_slim.profiling.table import scaled
from keras_slim.reports import charts
from keras_slim.reports.comparison import shown

SECURITY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
_SHOWN_KERNELS, _MOST_KERNELS = 12, 60
_SIZES = {"macs": "multiply-accumulates", "params": "parameters", "units": "units"}
_NAMES = {"params": "Parameters", "macs": "MACs"}
_HEADLINES = 8


def page(report) -> str:
    """Returns a `ModelReport` as the text of a page, for light and dark screens down to those of phones."""
    sections = (
        _headlines(report),
        _sizes(report),
        _files(report),
        _widths(report),
        _left(report),
        _bits(report),
        _steps(report),
        _search(report),
        _weights(report),
        _environment(report),
    )
    title = f"{report.name}, before and after"
    body = "\n".join(filter(None, sections))
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="{SECURITY}">
<title>{escape(title)}</title>
<link rel="icon" href="data:,">
<style>
{style()}</style>
</head>
<body>
<main>
<h1>{escape(title)}</h1>
<p>{escape(report.sentence())}</p>
{body}
</main>
</body>
</html>"""


@functools.cache
def style():
    """Returns the style sheet that the page holds."""
    return importlib.resources.files("keras_slim.reports").joinpath("page.css").read_text(encoding="utf-8")


def _section(name, title, *parts):
    return f'<section aria-labelledby="{name}">\n<h2 id="{name}">{title}</h2>\n' + "\n".join(parts) + "\n</section>"


def _headlines(report):
    agreements = [file.agreement for file in report.files if file.agreement]
    verdicts = {agreement.sqnr_db: agreement.verdict for agreement in agreements}
    items = "".join(_headline(row, verdicts) for row in _told_first(report))
    return f'<ul class="headlines" aria-label="In short">\n{items}</ul>'


def _told_first(report):
    """Returns the rows that stand above all: sizes, the smallest file, quality, and what was measured on that file."""
    rows = report.comparison.rows
    files = [row for row in rows if row.unit == "bytes" and row.label.endswith(" file") and row.after]
    smallest = min(files, key=lambda row: row.after).label.removesuffix(" file") if files else None
    weights = [] if files else ["weights in memory", "weights as rounded"]
    chosen = {"parameters", "multiply-accumulates", *weights, f"{smallest} file", f"{smallest} file, one sample"}
    chosen |= {row.label for row in report.quality if not row.label.endswith(" file")}
    chosen |= {row.label for row in report.quality if row.label.endswith(f", {smallest} file")}
    return [row for row in rows if row.label in chosen or row.label == f"{smallest} file and model agree"][:_HEADLINES]


def _headline(row, verdicts):
    before, value = _in_few_digits(row)
    change = f"{row.change}, from {before}" if row.change else verdicts.get(row.after, "")
    return (
        f'<li><span class="label">{escape(row.label)}</span> <span class="value">{escape(value or "-")}</span> '
        f'<span class="from">{escape(change)}</span></li>\n'
    )


def _in_few_digits(row):
    """Returns the values before and after."""
    _, *values, _ = row.cells()
    if row.unit in ("count", "bytes"):
        unit = "B" if row.unit == "bytes" else ""
        values = ["" if value is None else scaled(value, unit) for value in (row.before, row.after)]
    return [value.replace(" ", "\N{NO-BREAK SPACE}") for value in values]


def _sizes(report):
    cells = [row.cells() for row in report.comparison.rows]
    rows = [_row(label, *map(_number, others)) for label, *others in cells]
    samples = f"; quality measured on {report.samples:,} samples" if report.samples and report.quality else ""
    note = (
        '<p class="note">Milliseconds are those of this machine with one thread, not of a phone, and the median of '
        f"{report.files[0].latency.runs} runs.</p>"
        if report.files
        else ""
    )
    whose = "Both models, and files made from them" if report.files else "Both models"
    headings = "", "Before", "After", "Change"
    table = _table(f"{whose}{samples}", headings, rows, "stacked")
    return _section("sizes", "Sizes, quality and speed", table, note)


def _files(report):
    if not report.files:
        return ""
    headings = ("File", "Holds", "Bytes", "After gzip", "Milliseconds", "Answers like its model")
    rows = [
        _row(
            file.name,
            _cell(file.precision + (", the model before" if file.side == "before" else ""), label=headings[1]),
            _number(f"{file.bytes:,}", headings[2]),
            _number(f"{file.gzip_bytes:,}", headings[3]),
            _number(f"{file.latency.median_ms:.3f}", headings[4]),
            _cell(_agreement(file.agreement), "wide", headings[5]),
        )
        for file in report.files
    ]
    decibels = (
        '<p class="note">Decibels compare the answers with the error in them: at 20 dB the error is a tenth, at 40 dB '
        "a hundredth, at 60 dB a thousandth.</p>"
    )
    return _section(
        "files", "Files for phones", _table("LiteRT files, weighed and timed here", headings, rows, "cards"), decibels
    )


def _agreement(agreement):
    if agreement is None:
        return "not looked at, for want of samples"
    same = "" if agreement.same_class is None else f"; {agreement.same_class:.1%} of the samples in the same class"
    return f"{agreement.sqnr_db:.1f} dB, {agreement.verdict}{same}"


def _widths(report):
    if not report.widths:
        return ""
    largest = max(max(width.before or 0, width.after or 0) for width in report.widths)
    rows = [
        _row(
            width.name,
            f'<td class="bars">{charts.bar(width.before, width.after, largest)}</td>',
            _number(_change_of_width(width)),
        )
        for width in report.widths
    ]
    caption = '<span class="key was"></span> before <span class="key is"></span> after'
    table = _table(caption, ("Layer", "Filters or units", "Left"), rows, "widths", is_html=True)
    return _section("widths", "Layer by layer", table)


def _change_of_width(width):
    if width.before is None:
        return f"{width.after:,}, new"
    return "gone" if width.after is None else f"{width.after:,} of {width.before:,}"


def _left(report):
    if not report.left:
        return ""
    rows = [_row(", ".join(whole.layers), _cell("; ".join(whole.reasons), "wide", "Why")) for whole in report.left]
    table = _table("Layers that were not touched", ("Layers", "Why"), rows, "cards")
    return _section("left", "Left as it was, and why", table)


def _bits(report):
    rounding = [each for each in report.description.layers if not each.why] if report.description else []
    if not rounding:
        return ""
    headings = "Layer", "Weights", "Inputs", "Bits"
    rows = [
        _row(
            each.path,
            _cell(each.weights or "real", label=headings[1]),
            _cell(each.inputs or "real", label=headings[2]),
            _number(each.bits or "", headings[3]),
        )
        for each in rounding
    ]
    return _section("bits", "Few bits", _table("Layers that round", headings, rows, "cards"))


def _steps(report):
    if not report.steps:
        return ""
    names = list(dict.fromkeys(name for step in report.steps for name in step))
    headings = (_NAMES.get(name, name.replace("_", " ").capitalize()) for name in names)
    rows = [
        _row(f"{number}", *(_number(shown(step.get(name, ""))) for name in names))
        for number, step in enumerate(report.steps, 1)
    ]
    table = _table("Each step, and what was left after it", ("", *headings), rows)
    return _section("steps", "How it was made", table)


def _search(report):
    trajectory = report.trajectory
    if trajectory is None:
        return ""
    of = next(name for name in _SIZES if getattr(trajectory.points[0].cost, name) is not None)
    monitor = trajectory.monitor.replace("val_", "validation ").replace("_", " ")
    label = f"{monitor} over {_SIZES[of]} of {len(trajectory.points)} networks; the table below has the numbers"
    caption = (
        f"{escape(monitor.capitalize())} over {_SIZES[of]}. <span>Read from right to left. "
        '<span class="key is" style="display:inline-block"></span> held &nbsp; '
        '<span class="key other" style="display:inline-block"></span> given up &nbsp; dotted: the floor of '
        f"{trajectory.floor:.4g}</span>"
    )
    rows = [
        _row(
            str(point.epoch + 1),
            _number(f"{point.cost.amount(of):,}"),
            _number(f"{point.metric:.4g}"),
            _cell("held" if point.held else "given up"),
        )
        for point in trajectory.points
    ]
    table = _table("The networks that were tried", ("Epoch", _SIZES[of].capitalize(), monitor.capitalize(), ""), rows)
    figure = f"<figure>{charts.search(trajectory, of, _SIZES[of], label)}<figcaption>{caption}</figcaption></figure>"
    return _section("search", "The search", figure, table)


def _weights(report):
    kernels = [kernel for kernel in report.weights if kernel.kept]
    if not kernels:
        return ""
    shown, folded = kernels[:_SHOWN_KERNELS], kernels[_SHOWN_KERNELS:_MOST_KERNELS]
    parts = [_grid(shown)]
    if folded:
        parts.append(f"<details><summary>{len(folded)} more kernels</summary>{_grid(folded)}</details>")
    if len(kernels) > _MOST_KERNELS:
        more = len(kernels) - _MOST_KERNELS
        parts.append(f'<p class="note">{more} more kernels are in the data of the report.</p>')
    return _section("weights", "Values of the weights", *parts)


def _grid(kernels):
    figures = "\n".join(map(_kernel, kernels))
    return f'<div class="grid">\n{figures}\n</div>'


def _kernel(kernel):
    low, high = f"{kernel.values[0]:.3g}", f"{kernel.values[-1]:.3g}"
    shared = f", {len(kernel.values):,} shared values" if kernel.are_shared else ""
    words = f"{kernel.size:,} weights, {1 - kernel.kept / kernel.size:.1%} zeros{shared}"
    picture = charts.histogram(kernel, f"Histogram of {kernel.path} from {low} to {high}")
    return (
        f'<figure>{picture}<div class="range"><span>{low}</span><span>{high}</span></div>'
        f"<figcaption>{escape(kernel.path)}<span>{words}</span></figcaption></figure>"
    )


def _environment(report):
    rows = "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>\n" for name, value in report.environment.items())
    return _section("environment", "Where it was measured", f"<dl>\n{rows}</dl>")


def _table(caption, headings, rows, kind="", is_html=False):
    """Returns a table; one that is too wide for the screen scrolls by itself."""
    first, *others = headings
    heads = f'<th scope="col">{escape(first) or "<span></span>"}</th>' + "".join(
        f'<th scope="col" class="{"" if others[i] in _TEXTS else "number"}">{escape(others[i])}</th>'
        for i in range(len(others))
    )
    label = "Filters or units of each layer" if is_html else caption
    return (
        f'<div class="scroll" role="region" tabindex="0" aria-label="{escape(label)}">\n<table class="{kind}">\n'
        f"<caption>{caption if is_html else escape(caption)}</caption>\n<thead><tr>{heads}</tr></thead>\n"
        f"<tbody>\n{''.join(rows)}</tbody>\n</table>\n</div>"
    )


_TEXTS = ("Holds", "Answers like its model", "Filters or units", "Why", "Weights", "Inputs", "")


def _row(name, *cells):
    return f'<tr><th scope="row">{escape(name)}</th>{"".join(cells)}</tr>\n'


def _number(text, label=""):
    return _cell(text, "number", label)


def _cell(text, kind="", label=""):
    """Returns a cell; the label stands before it where a narrow screen has no headings."""
    return f'<td class="{kind}" data-label="{escape(label)}">{escape(str(text))}</td>'
