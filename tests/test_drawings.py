"""The drawings of the documentation are those that their scripts draw today."""

import importlib
import pathlib
import sys
import xml.etree.ElementTree

import pytest

DOCS = pathlib.Path(__file__).parents[1] / "docs"
SCRIPTS = sorted(path.stem for path in DOCS.glob("draw_*.py"))


@pytest.fixture(params=SCRIPTS)
def script(request, monkeypatch):
    monkeypatch.setattr(sys, "path", [str(DOCS), *sys.path])
    return importlib.import_module(request.param)


def test_drawing_is_up_to_date(script):
    drawn = script.PATH.read_text(encoding="utf-8")
    assert drawn == script.draw(), f"Draw it again: python docs/{script.__name__}.py"


def test_drawing_stands_alone_and_in_both_themes(script):
    root = xml.etree.ElementTree.fromstring(script.draw())
    style = root.find("{http://www.w3.org/2000/svg}style").text
    assert "prefers-color-scheme:dark" in style
    assert "#" not in script.draw().replace(style, ""), "A colour of its own would not follow the page."
