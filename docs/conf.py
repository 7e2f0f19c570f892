"""Sphinx configuration. `tox -e docs` builds the pages."""

import os
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent))
os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.pop("MPLBACKEND", None)  # notebooks choose theirs, which draws into the page

import draw_architecture
import nbformat
from myst_nb.core.read import read_myst_markdown_notebook

import keras_slim
from keras_slim.graph.without_rule import REASONS

DOCS = pathlib.Path(__file__).parent
GENERATED = DOCS / "_generated"


def rule_table():
    """Returns the table of rules in Markdown, as the rules describe themselves."""
    lines = ["| layers and operations | what runs where |", "| --- | --- |"]
    for rule, types in keras_slim.graph.registered_rules().items():
        names = (keras_slim.graph.registry.name_of_type(each).replace("ops.", "") for each in types)
        lines.append(f"| {', '.join(f'`{name}`' for name in names)} | {rule.__doc__.splitlines()[0]} |")
    return "\n".join(lines) + "\n"


def reason_table():
    """Returns the table of what has no rule, and why."""
    lines = ["| why | layers and operations |", "| --- | --- |"]
    for reason, names in REASONS.items():
        names = (f"`{name.replace('ops.', '')}`" for name in names.split())
        lines.append(f"| {reason} | {', '.join(names)} |")
    return "\n".join(lines) + "\n"


GENERATED.mkdir(exist_ok=True)
(GENERATED / "rules.md").write_text(rule_table(), encoding="utf-8")
(GENERATED / "reasons.md").write_text(reason_table(), encoding="utf-8")
(GENERATED / "architecture.svg").write_text(draw_architecture.draw(), encoding="utf-8")
for path in (DOCS / "tutorials").glob("*-*.md"):  # to be downloaded
    notebook = read_myst_markdown_notebook(path.read_text(encoding="utf-8"), path=path)
    nbformat.write(notebook, GENERATED / f"{path.stem}.ipynb")

project = "keras_slim"
author = "the keras_slim authors"
release = version = keras_slim.__version__

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinx_design",
]
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3
# Tutorials run while the pages are built, each in a process and a folder of its own; an error in one ends the build.
nb_execution_mode = "force"
nb_execution_in_temp = True
nb_execution_timeout = 300
nb_execution_raise_on_error = True
nb_output_stderr = "remove"
nb_merge_streams = True
exclude_patterns = ["_build", "_generated"]
html_theme = "furo"
html_title = "keras_slim"
html_show_copyright = False
html_static_path = ["_static"]
html_css_files = ["page.css"]
_BRAND = {"light": "#0f766e", "dark": "#2dd4bf"}
html_theme_options = {
    f"{scheme}_css_variables": {"color-brand-primary": colour, "color-brand-content": colour}
    for scheme, colour in _BRAND.items()
}

# Docstrings mark code with single backticks, and use Keras's section names.
default_role = "code"
napoleon_numpy_docstring = False
napoleon_custom_sections = ["Call arguments", "Input shape", "Output shape", "Reference"]
autodoc_default_options = {"members": True, "show-inheritance": True}
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
