"""Words of SVG for the drawings of these pages, in colours that follow the page, light or dark."""

import html

LIGHT = {
    "ink": "#1f2328",
    "muted": "#59636e",
    "line": "#c9d1d9",
    "before": "#c9d1d9",
    "accent": "#0f766e",
    "wash": "#e6f4f1",
    "panel": "#f3f5f7",
}
DARK = {
    "ink": "#e6edf3",
    "muted": "#9da7b1",
    "line": "#3d444d",
    "before": "#4b535d",
    "accent": "#2dd4bf",
    "wash": "#12332f",
    "panel": "#22272e",
}
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif"


def _colours(colours):
    return "".join(f"--ks-{name}:{value};" for name, value in colours.items())


STYLE = (
    f".ks{{{_colours(LIGHT)}font-family:{FONT};max-width:100%;height:auto}}"
    f"@media(prefers-color-scheme:dark){{.ks{{{_colours(DARK)}}}}}"
    f"body[data-theme=light] .ks{{{_colours(LIGHT)}}}body[data-theme=dark] .ks{{{_colours(DARK)}}}"
)


def fill(colour):
    """Returns the attribute that fills with a colour of the page, one of `NAMES`."""
    return f'style="fill:var(--ks-{colour})"'


def stroke(colour, width=1, extra=""):
    """Returns the attribute that draws a line in a colour of the page."""
    return f'style="fill:none;stroke:var(--ks-{colour});stroke-width:{width};{extra}"'


def text(x, y, words, colour="ink", size=13, anchor="start", weight=400):
    """Returns a line of words."""
    return (
        f'<text x="{x:g}" y="{y:g}" font-size="{size}" text-anchor="{anchor}" font-weight="{weight}" {fill(colour)}>'
        f"{html.escape(words, quote=False)}</text>"
    )


def box(x, y, width, height, colour, radius=3):
    """Returns a filled rectangle."""
    return f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="{radius}" {fill(colour)}/>'


def drawing(width, height, title, parts):
    """Returns a whole drawing, which stands alone in a file and inside a page alike."""
    size = f'viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" class="ks" {size} role="img">'
    return "\n".join([head, f"<title>{html.escape(title)}</title>", f"<style>{STYLE}</style>", *parts, "</svg>"]) + "\n"
