"""What the documentation leads to is there, and what is there is led to."""

import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).parents[1]
DOCS = ROOT / "docs"
FRONT = [ROOT / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md")]
PAGES = sorted(path for path in DOCS.rglob("*.md") if "_generated" not in path.parts and "_build" not in path.parts)
LINK = re.compile(r"\]\(([^)\s#]*)(?:#[^)\s]*)?\)")
INCLUDED = re.compile(r"```\{(?:literal)?include\} (\S+)")


def text_of(*paths):
    return "\n".join(path.read_text(encoding="utf-8") for path in paths)


def relative(path):
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("path", FRONT + PAGES, ids=relative)
def test_links_lead_to_files(path):
    targets = [target for target in LINK.findall(text_of(path)) if target and "://" not in target]
    assert [target for target in targets if not (path.parent / target).exists()] == []


@pytest.mark.parametrize("path", sorted((ROOT / "benchmarks" / "results").glob("*.md")), ids=relative)
def test_what_was_measured_stands_on_one_page_of_results(path):
    pages = [
        page
        for page in PAGES
        if any(path == (page.parent / target).resolve() for target in INCLUDED.findall(text_of(page)))
    ]
    assert len(pages) == 1, f"Include {relative(path)} in one page of docs/results: {pages}"


def test_the_readme_says_what_holds_where_as_it_was_measured():
    measured = text_of(ROOT / "benchmarks" / "results" / "everywhere.md")
    (table,) = re.findall(r"\*\*How many hold\*\*\n\n((?:\|.*\n)+)", measured)
    assert table in text_of(ROOT / "README.md")


def test_each_page_of_results_stands_in_the_table_of_findings():
    index = (DOCS / "results" / "index.md").read_text(encoding="utf-8")
    linked = [target.removesuffix(".md") for target in LINK.findall(index) if "/" not in target]
    pages = {path.stem for path in (DOCS / "results").glob("*.md")} - {"index"}
    assert set(linked) == pages
    for page in pages:
        assert re.search(rf"(?m)^{page}$", index), f"Put {page} into the table of contents too."


@pytest.mark.parametrize("path", sorted((ROOT / "examples").glob("*.py")), ids=relative)
def test_each_example_is_named_on_a_page(path):
    assert f"examples/{path.name}" in text_of(*PAGES)


@pytest.mark.parametrize("source", ["keras_slim", "benchmarks", "examples", "tests"])
def test_pages_that_the_code_names_are_there(source):
    named = {
        name
        for path in (ROOT / source).rglob("*.py")
        for name in re.findall(r"docs/[\w/-]+\.md", path.read_text("utf-8"))
    }
    assert sorted(name for name in named if not (ROOT / name).exists()) == []


DRAWN = {path.stem.removeprefix("draw_") for path in DOCS.glob("draw_*.py")}  # those follow the theme, on their pages
FIGURES = sorted(path for path in (DOCS / "images").iterdir() if path.stem not in DRAWN)


@pytest.mark.parametrize("path", FIGURES, ids=relative)
def test_each_figure_hangs_in_the_gallery(path):
    assert f"images/{path.name}\n" in text_of(DOCS / "gallery.md")


@pytest.mark.slow
def test_the_lines_of_the_readme_run_as_they_stand(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    (lines,) = re.findall(r"## Ten lines that run as they stand\n\n```python\n(.*?)```", text, re.DOTALL)
    exec(compile(lines, "README.md", "exec"), {})
    assert (tmp_path / "digits.tflite").stat().st_size > 1000
