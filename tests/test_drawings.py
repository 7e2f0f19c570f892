"""The drawings of the documentation: those that lie in the repository are up to date, and all follow the theme."""

import importlib
import pathlib
import re
import sys
import xml.etree.ElementTree

import pytest

DOCS = pathlib.Path(__file__).parents[1] / "docs"
SCRIPTS = sorted(path.stem for path in DOCS.glob("draw_*.py"))
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture
def load(monkeypatch):
    """Imports one of the scripts."""
    monkeypatch.setattr(sys, "path", [str(DOCS), *sys.path])
    return importlib.import_module


@pytest.mark.parametrize("script", ["draw_hero", "draw_proof"])
def test_what_was_measured_is_drawn(load, script):
    drawing = load(script)
    assert drawing.PATH.read_text(encoding="utf-8") == drawing.draw(), f"Draw it again: python docs/{script}.py"


@pytest.mark.parametrize("script", SCRIPTS)
def test_drawings_have_the_colours_of_the_page(load, script):
    drawn = load(script).draw()
    style = xml.etree.ElementTree.fromstring(drawn).find(f"{SVG}style").text
    assert "prefers-color-scheme:dark" in style
    assert "#" not in drawn.replace(style, ""), "A colour of its own would not follow the theme."
    used = {part.split(")")[0] for part in drawn.split("var(--ks-")[1:]}
    assert {f"--ks-{colour}:" in style for colour in used} == {True}


def test_every_room_stands_in_the_picture_of_the_house(load):
    house = load("draw_architecture")
    imports, _ = house.rooms()
    words = " ".join(each.text for each in xml.etree.ElementTree.fromstring(house.draw()).iter(f"{SVG}text"))
    assert len(imports) > 30
    assert [room for room in imports if room and room not in re.findall(r"\w+", words)] == []


def test_lines_are_imports_without_detours(load):
    house = load("draw_architecture")
    imports = {"a": {"b", "c"}, "b": {"c"}, "c": set()}
    assert sorted(house.direct(imports)) == [("a", "b"), ("b", "c")]
    assert "graph" in house.rooms()[0]["scoring"]
