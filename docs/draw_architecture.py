"""Draws the rooms of the package and what imports what, read from the code: python docs/draw_architecture.py FILE"""

import ast
import functools
import pathlib
import sys
import textwrap

import svg

ROOT = pathlib.Path(__file__).parents[1]
PACKAGE = ROOT / "keras_slim"
LAYERING = ROOT / "tests" / "test_layering.py"

# Which of the narrow waists a room belongs to; others stand beside the device. The heights come from the tests, the
# words from the packages, the lines from the imports.
COLUMNS = {
    "weights": ("sparsity", "sharing", "compression"),
    "units": ("graph", "profiling", "scoring", "pruning"),
    "layers": ("layers", "models", "rewriting", "lowrank", "distillation"),
    "device": ("export", "phone"),
}
WIDE_FROM = 5.6  # rooms of this rank and above stand across all columns, and use whatever is below
TOOLS_BELOW = 2  # rooms of a lower rank are tools that all may use: they have no lines
WIDTH, LEFT, COLUMN, PITCH = 860, 20, 213, 68
BOX, HEIGHT, WIDE_HEIGHT = 180, 50, 40


def ranks():
    """Returns the height of each room, as the tests hold it."""
    for node in ast.parse(LAYERING.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and node.targets[0].id == "RANKS":
            return ast.literal_eval(node.value)
    raise LookupError(f"No RANKS in {LAYERING}.")


@functools.cache
def rooms():
    """Returns for each room the rooms it imports, and its docstring's first line; the front door's name is empty."""
    imports, words = {}, {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        room = "" if parts == ("__init__",) else parts[0]
        tree = ast.parse(path.read_text(encoding="utf-8"))
        if len(parts) == 1 or parts[1:] == ("__init__",):
            words[room] = (ast.get_docstring(tree) or "").split("\n")[0]
        names = [name for node in ast.walk(tree) for name in imported(node)]
        imports.setdefault(room, set()).update(name.split(".")[1] for name in names if name.startswith("keras_slim."))
    return {room: {each for each in named if each in imports} - {room} for room, named in imports.items()}, words


def imported(node):
    """Returns the dotted names of an import statement."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        return [f"{node.module}.{alias.name}" for alias in node.names]
    return []


def direct(imports):
    """Returns the pairs of rooms of which one imports the other, without those that lead through a third room too."""

    def reached(room):
        return set().union(*({each} | reached(each) for each in imports[room]))

    return [(a, b) for a in imports for b in imports[a] if not any(b in reached(c) for c in imports[a] - {b})]


def column(room):
    return next((number for number, names in enumerate(COLUMNS.values()) if room in names), len(COLUMNS) - 1)


def places(heights):
    """Returns the rectangle of each room that has lines, as `(x, y, width)`, and where the tools begin."""
    wide = sorted((room for room in heights if heights[room] >= WIDE_FROM), key=lambda room: (-heights[room], room))
    narrow = [room for room in heights if TOOLS_BELOW <= heights[room] < WIDE_FROM]
    taken, y = {}, 20
    for rank in sorted({heights[room] for room in wide}, reverse=True):
        row = [room for room in wide if heights[room] == rank]
        width = (WIDTH - 2 * LEFT - 20 * (len(row) - 1)) / len(row)
        for number, room in enumerate(row):
            taken[room] = (LEFT + number * (width + 20), y, width)
        y += WIDE_HEIGHT + 8
    y += 36  # for the names of the columns
    for rank in sorted({heights[room] for room in narrow}, reverse=True):
        row = [room for room in sorted(narrow) if heights[room] == rank]
        deepest = 1
        for room in row:
            same = [each for each in row if column(each) == column(room)]
            level = same.index(room)
            deepest = max(deepest, len(same))
            taken[room] = (LEFT + column(room) * COLUMN, y + level * PITCH, BOX)
        y += PITCH * deepest
    return taken, y


def room_box(room, place, words, imports):
    """Draws a room: its name, and what it is for."""
    x, y, width = place
    name = f"keras_slim.{room}" if room else "import keras_slim as slim"
    lines = textwrap.wrap(
        words.replace("`", ""), int(width / 5.9), max_lines=2 if width == BOX else 1, placeholder=" ..."
    )
    yield f"<g><title>{name} imports {', '.join(sorted(filter(None, imports))) or 'nothing'}</title>"
    yield svg.box(x, y, width, HEIGHT if width == BOX else WIDE_HEIGHT, "wash" if width == BOX else "panel", 6)
    yield svg.text(x + 10, y + 18, room or "keras_slim, the front door", "ink", 13, weight=600)
    for number, line in enumerate(lines):
        yield svg.text(x + 10, y + 31 + 12 * number, line, "muted", 10)
    yield "</g>"


def curve(start, end):
    """Draws an import, from the bottom of a room to the top of one below."""
    (x1, y1, _), (x2, y2, _) = start, end
    x1, x2, y1 = x1 + BOX / 2, x2 + BOX / 2, y1 + HEIGHT
    bend = (y2 - y1) / 2
    bends = f"{x1:g} {y1 + bend:g} {x2:g} {y2 - bend:g}"
    if x1 == x2 and y2 - y1 > PITCH:  # past the rooms between
        aside = x1 + BOX / 2 + 15
        bends = f"{aside:g} {y1 + 20:g} {aside:g} {y2 - 20:g}"
    return f'<path d="M{x1:g} {y1:g}C{bends} {x2:g} {y2:g}" {svg.stroke("muted", 1.5)}/>'


def tools(heights, y):
    """Draws the tools that stand below all rooms; returns the parts, and where they end."""
    parts = []
    for rank in sorted({rank for rank in heights.values() if rank < TOOLS_BELOW}, reverse=True):
        names = [room for room in sorted(heights) if heights[room] == rank]
        lines = textwrap.wrap(", ".join(names), 116)
        parts.append(svg.box(LEFT, y, WIDTH - 2 * LEFT, 16 * len(lines) + 16, "panel", 6))
        parts += [svg.text(LEFT + 10, y + 21 + 16 * number, line, "muted", 12) for number, line in enumerate(lines)]
        y += 16 * len(lines) + 26
    return parts, y


def draw():
    """Returns the drawing of the house."""
    imports, words = rooms()
    heights = {room: rank for room, rank in ranks().items() if room in imports}
    taken, top = places(heights)
    narrow = {room for room, (_, _, width) in taken.items() if width == BOX}
    heads = min(taken[room][1] for room in narrow) - 12
    lines = [(a, b) for a, b in sorted(direct(imports)) if {a, b} <= narrow]
    parts = [curve(taken[a], taken[b]) for a, b in lines]
    for number, name in enumerate(COLUMNS):
        parts.append(svg.text(LEFT + 10 + number * COLUMN, heads, name, "accent", 14, weight=600))
    for room, place in taken.items():
        parts += room_box(room, place, words[room], imports[room])
    below, bottom = tools(heights, top + 10)
    return svg.drawing(
        WIDTH, bottom + 10, "The rooms of keras_slim: each imports only rooms below it", [*parts, *below]
    )


if __name__ == "__main__":
    pathlib.Path(sys.argv[1]).write_text(draw(), encoding="utf-8")
