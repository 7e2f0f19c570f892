"""The page of a report in a real browser: light and dark, on a screen and on a phone."""

import pytest

pytest.importorskip("playwright.sync_api", reason="`tox -e browser` runs these")

import keras
import numpy as np

import keras_slim as slim
from keras_slim.pruning import Cost, Trajectory, TrajectoryPoint

PHONE, SCREEN = {"width": 390, "height": 844}, {"width": 1200, "height": 900}
LONG = "a_layer_of_which_the_name_is_longer_than_any_screen_of_a_phone_is_wide"

SMALLEST = """() => {
  const all = [...document.querySelectorAll("main *")];
  const words = all.filter(each => !each.children.length && each.textContent.trim());
  const scale = each => each.getScreenCTM ? each.getScreenCTM().a : 1;
  return Math.min(...words.map(each => parseFloat(getComputedStyle(each).fontSize) * scale(each)));
}"""


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """A report with everything in it, and the address of its page."""
    folder = tmp_path_factory.mktemp("report")
    keras.utils.set_random_seed(0)
    layers = [keras.layers.Dense(24, activation="relu", name=LONG), keras.layers.Dense(3, name="scores")]
    model = keras.Sequential([keras.Input((6,)), *layers])
    plan = slim.plan_pruning(model, 0.5)
    small = slim.shrink(model, plan)
    slim.share_weights(small, bits=2)
    rng = np.random.default_rng(0)
    data = rng.random((40, 6), "float32"), rng.integers(0, 3, 40)
    for each, name in ((model, "dense"), (small, "small")):
        slim.export_tflite(each, folder / f"{name}.tflite", "int8", data[0], verbose=0)
    points = [
        TrajectoryPoint(e, 0.9 - e / 50, e < 3, Cost(24 - 4 * e, 800 - 100 * e, 2_400 - 300 * e), {}) for e in range(4)
    ]
    files = {"before": folder / "dense.tflite", "after": folder / "small.tflite"}
    path = folder / "report.html"
    way = Trajectory("val_accuracy", 0.85, tuple(points))
    return slim.report(model, small, data, path, files=files, made_by=[plan, way]), path.as_uri()


@pytest.fixture(params=["light", "dark"])
def page(request, found, visit):
    return visit(found[1], color_scheme=request.param)


def test_nothing_goes_wrong_and_nobody_is_asked(page, found):
    assert page.said == []
    assert {url for url in page.asked if not url.startswith("data:")} == {found[1]}


def test_the_page_shows_the_numbers_of_the_data(page, found):
    report, _ = found
    table = page.get_by_role("region", name="Both models, and files made from them")
    for row in report.comparison.rows:
        label, *cells = row.cells()
        shown = table.get_by_role("row").filter(has=page.get_by_role("rowheader", name=label, exact=True))
        assert shown.locator("td").all_inner_texts() == cells
    items = " ".join(page.get_by_role("list", name="In short").inner_text().split())
    for row in report.comparison.rows:
        if row.label in ("parameters", "accuracy, int8 file"):
            assert row.change in items
    assert page.get_by_role("img").count() == 1 + len(report.weights)  # the search, and a histogram each


def test_bars_are_as_long_as_layers_are_wide(page, found):
    width = found[0].widths[0]
    was, left = (page.locator(f"svg.bar .{kind}").first.bounding_box()["width"] for kind in ("was", "is"))
    assert width.after < width.before
    assert left / was == pytest.approx(width.after / width.before, abs=0.01)


def test_bars_are_on_one_scale_on_a_phone(page):
    page.set_viewport_size(PHONE)
    longest = [each.bounding_box()["width"] for each in page.locator("svg.bar").all()]
    assert len(longest) == 2
    assert min(longest) > 100
    assert min(longest) == pytest.approx(max(longest), abs=0.5)


def test_the_networks_of_a_search_fit_a_phone(page):
    page.set_viewport_size(PHONE)
    table = page.get_by_role("region", name="The networks that were tried")
    assert table.evaluate("each => each.scrollWidth - each.clientWidth") == 0


@pytest.mark.parametrize("size", [PHONE, SCREEN], ids=["phone", "screen"])
def test_the_page_is_no_wider_than_the_screen(page, size):
    page.set_viewport_size(size)
    assert page.evaluate("document.documentElement.scrollWidth") <= size["width"]
    assert page.evaluate("document.querySelector('main').getBoundingClientRect().right") <= size["width"]
    smallest = page.evaluate(SMALLEST)
    assert smallest >= 11  # pixels


def test_words_in_a_chart_do_not_lie_on_each_other(page):
    page.set_viewport_size(PHONE)
    boxes = [each.bounding_box() for each in page.locator("svg.chart text").all()]
    assert len(boxes) == 5
    for place, one in enumerate(boxes):
        for other in boxes[:place]:
            beside = one["x"] >= other["x"] + other["width"] or other["x"] >= one["x"] + one["width"]
            above = one["y"] >= other["y"] + other["height"] or other["y"] >= one["y"] + one["height"]
            assert beside or above


def test_the_page_follows_light_and_dark(found, visit):
    grounds = [
        visit(found[1], color_scheme=scheme).evaluate("getComputedStyle(document.body).backgroundColor")
        for scheme in ("light", "dark")
    ]
    assert grounds == ["rgb(246, 247, 249)", "rgb(17, 20, 24)"]
