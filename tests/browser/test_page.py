"""The page in a real browser: every kind of file, what can go wrong on the way, and how it looks."""

import gzip
import math
import re
import time

import pytest

pytest.importorskip("playwright.sync_api", reason="`tox -e browser` runs these")

from keras_slim.errors import ExportError
from keras_slim.phone import visits

DONE = re.compile(r"Done\. The computer has the results\.")
SECONDS = 60
ON_PROCESSOR = ("--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader", "--enable-features=Vulkan")
"""Has Chromium compute WebGPU without a graphics card."""


def finished(page):
    """Waits until the page says that it is done."""
    page.get_by_role("button", name="Measure again").wait_for()
    return page.get_by_role("status").inner_text()


def take(served, **seconds):
    """Changes how long each file is timed, and how often the page says that it is there."""
    plan = served._server.plan
    served._server.plan = lambda turn: plan(turn) | seconds


def is_clean(page, served):
    """Whether the page has asked nobody else for anything, and nothing went wrong unseen."""
    return all(url.startswith((served.url, "data:")) for url in page.asked) and not [
        text for kind, text in page.said if kind == "error"
    ]


def test_files_of_every_kind(serve, visit, files, adder, model, pictures):
    adder_model, adder_file = adder
    served = serve([*files.values(), adder_file], [model] * 4 + [adder_model], pictures)
    page = visit(served.url)
    assert DONE.fullmatch(finished(page))
    (phone,) = served.wait(timeout=SECONDS).check().phones
    assert phone.name.startswith("Phone 1: Chrome ")
    least = {"float32": 100, "float16": 50, "dynamic": 30, "int8": 20, "adder": 100}
    for file, (name, decibels) in zip(phone.files, least.items(), strict=True):
        assert file.name == f"{name}.tflite"
        assert file.agreement.sqnr_db > decibels, name
        assert file.agreement.samples == len(pictures)
        assert 0 < file.latency.median_ms <= file.latency.p90_ms < 1000
        assert file.latency.first_ms > 0
        assert file.latency.runs >= file.latency.batches >= 3
        assert (file.engine, file.threads) == ("WebAssembly", 1)
    assert page.get_by_role("listitem").count() == 5
    card = page.get_by_role("listitem").filter(has_text="int8.tflite").inner_text()
    assert "agrees with Keras" in card
    assert re.search(r"median\n\d+\.\d{3} ms", card)
    assert is_clean(page, served)


def test_answers_are_those_of_litert_here(serve, visit, files, pictures):
    served = serve([files["int8"], files["float32"]], data=pictures)
    finished(visit(served.url))
    int8, float32 = served.wait(timeout=SECONDS).phones[0].files
    assert int8.agreement.max_abs_error == 0  # byte for byte
    assert float32.agreement.max_abs_error < 1e-5


def test_a_recurrent_network(serve, visit, lstm):
    model, path, data = lstm
    served = serve([path], model, data)
    finished(visit(served.url))
    (file,) = served.wait(timeout=SECONDS).check().phones[0].files
    assert file.agreement.sqnr_db > 100


def test_batches_take_at_least_five_milliseconds(serve, visit, files):
    served = serve([files["float32"]])
    finished(visit(served.url))
    (file,) = served.wait(timeout=SECONDS).phones[0].files
    assert file.latency.median_ms * file.latency.runs / file.latency.batches >= 5


def test_a_file_that_arrives_corrupted(serve, visit, files, pictures):
    served = serve([files["float32"], files["int8"]], data=pictures)
    kind, content = served._server.resources["file/0"]
    served._server.resources["file/0"] = (kind, content[: len(content) // 2])
    page = visit(served.url)
    assert finished(page) == "Done: 1 of 2 went wrong."
    failed, worked = served.wait(timeout=SECONDS).phones[0].files
    assert failed.verdict == "failed"
    assert "Failed to load model" in failed.error
    assert "WARNING" not in failed.error  # of what the runtime prints, only errors
    assert worked.agrees
    with pytest.raises(ExportError, match=r"float32\.tflite on Phone 1: Chrome \d+ on Linux: "):
        served.report.check()
    assert "failed" in page.get_by_role("listitem").first.inner_text()


def test_a_file_with_other_weights_is_found_out(serve, visit, files, pictures):
    served = serve([files["float32"]], data=pictures)
    kind, content = served._server.resources["file/0"]
    weights = bytearray(content)
    for place in range(len(weights) // 8 * 4, len(weights) // 8 * 4 + 400, 4):
        weights[place + 3] = 0x3F  # of a float, the sign and most of its power
    served._server.resources["file/0"] = (kind, bytes(weights))
    assert finished(visit(served.url)) == "Done: 1 of 1 went wrong."
    assert not served.wait(timeout=SECONDS).phones[0].files[0].agrees


def test_a_runtime_with_another_hash_is_not_run(serve, visit, files, monkeypatch):
    served = serve([files["float32"]])
    content = served._server.runtime.plain("litert_wasm_internal.wasm") + b"\0"
    monkeypatch.setattr(served._server, "runtime", Altered(content))
    page = visit(served.url)
    assert "litert_wasm_internal.wasm did not arrive as it should be" in finished(page)
    assert served.report.phones[0].files == ()


class Altered:
    """A runtime with one content for all its files."""

    def __init__(self, content):
        self.content = content

    def gzipped(self, name):
        return gzip.compress(self.content, 1)


def test_a_bad_token(serve, visit, files):
    served = serve([files["float32"]])
    token = served.url.rstrip("/").rpartition("/")[2]
    page = visit(served.url.replace(token, "0" * 16))
    assert page.inner_text("body") == "Not Found"
    assert served.report.phones == ()


def test_a_flood_of_posts_from_the_page(serve, visit, files, pictures):
    served = serve([files["float32"]], data=pictures)
    page = visit(served.url)
    statuses = page.evaluate(
        """async () => {
          const post = (_, index) => fetch("report", { method: "POST", body: new Uint8Array(index) });
          return (await Promise.all(Array.from({ length: 200 }, post))).map((answer) => answer.status);
        }"""
    )
    assert len(statuses) == 200
    assert set(statuses) <= {400, 503}
    finished(page)
    assert served.wait(timeout=SECONDS).check().phones[0].agrees


def test_a_page_that_is_loaded_anew(serve, visit, files, pictures):
    served = serve([files["float32"], files["int8"]], data=pictures)
    page = visit(served.url)
    page.get_by_role("listitem").first.wait_for()
    page.reload()
    finished(page)
    (phone,) = served.wait(timeout=SECONDS).phones
    assert [file.name for file in phone.files] == ["float32.tflite", "int8.tflite"]
    page.get_by_role("button", name="Measure again").click()
    page.get_by_role("button", name="Measure again").wait_for()
    assert len(served.wait(timeout=SECONDS).phones) == 1


def test_two_phones_of_which_one_goes_away(serve, visit, files, pictures, monkeypatch):
    served = serve([files["float32"], files["int8"]], data=pictures)
    take(served, seconds=1)
    first, second = visit(served.url), visit(served.url)
    first.get_by_role("listitem").first.wait_for()
    first.close()
    finished(second)
    monkeypatch.setattr(visits, "SILENCE", 0.5)
    report = served.wait(timeout=SECONDS)
    assert [phone.state for phone in report.phones] == ["gone", "finished"]
    assert [len(phone.files) for phone in report.phones] == [1, 2]


def test_the_computer_goes_away(serve, visit, files, pictures):
    served = serve([files["float32"], files["int8"]], data=pictures)
    take(served, seconds=2)
    page = visit(served.url)
    page.get_by_role("listitem").first.wait_for()
    served.close()
    assert finished(page) == "The computer does not answer. Is the command still running there?"
    assert page.get_by_role("listitem").count() == 1  # what stands stays


def test_a_heart_beats_while_a_file_runs(serve, visit, files):
    served = serve([files["float32"]])
    take(served, seconds=1, alive=0.2)
    page = visit(served.url)
    finished(page)
    assert sum("alive?phone=" in url for url in page.asked) >= 3


def test_threads_on_a_secure_page(serve, visit, launch, files, pictures):
    pytest.importorskip("cryptography", reason="comes with the extra `phone`")
    served = serve([files["float32"], files["int8"]], data=pictures, threads=64, https=True)
    page = visit(served.url, launch("--ignore-certificate-errors"))  # as one does who lets the certificate through
    assert DONE.fullmatch(finished(page))
    assert page.evaluate("crossOriginIsolated")
    cores = page.evaluate("navigator.hardwareConcurrency")
    assert cores > 1
    assert [(file.threads, file.agrees) for file in served.wait(timeout=SECONDS).phones[0].files] == [(cores, True)] * 2
    assert is_clean(page, served)


def test_a_processor_without_relaxed_simd(serve, chromium, files, pictures):
    served = serve([files["float32"], files["int8"]], data=pictures, threads=2)
    with chromium.new_context() as context:
        page = context.new_page()
        page.add_init_script("WebAssembly.validate = () => false;")
        asked = []
        page.on("request", lambda request: asked.append(request.url.rpartition("/")[2]))
        page.goto(served.url)
        finished(page)
    assert "litert_wasm_compat_internal.wasm" in asked
    assert [(file.threads, file.agrees) for file in served.wait(timeout=SECONDS).phones[0].files] == [(1, True)] * 2


def test_web_gpu(serve, launch, visit, files, pictures):
    served = serve([files["float32"], files["int8"], files["dynamic"]], data=pictures)
    browser = launch(*ON_PROCESSOR)
    page = visit(served.url, browser)
    if not page.evaluate("navigator.gpu && navigator.gpu.requestAdapter().then(Boolean)"):
        pytest.skip("This Chromium has no WebGPU.")
    finished(page)
    found = [(file.name, file.engine) for file in served.wait(timeout=SECONDS).check().phones[0].files]
    assert found == [
        ("float32.tflite", "WebAssembly"),
        ("float32.tflite", "WebGPU"),
        ("int8.tflite", "WebAssembly"),
        ("dynamic.tflite", "WebAssembly"),
    ]
    on_gpu = served.report.phones[0].files[1]
    assert on_gpu.agreement.sqnr_db > 90
    assert on_gpu.latency.engine == "WebGPU"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_a_phone_and_can_be_read(serve, visit, files, scheme, tmp_path):
    name = "a_name_without_any_place_where_it_could_be_broken_" * 3
    path = tmp_path / f"{name}.tflite"
    path.write_bytes(files["float32"].read_bytes())
    served = serve([path])
    page = visit(served.url, color_scheme=scheme)
    finished(page)
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    page.set_viewport_size({"width": 320, "height": 600})
    assert page.evaluate("document.documentElement.scrollWidth") == 320
    contrasts = page.evaluate(CONTRASTS)
    assert len(contrasts) > 15
    assert min(contrast for _, contrast in contrasts) >= 4.5, contrasts  # WCAG AA
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (max(map(int, re.findall(r"\d+", background))) < 80) == (scheme == "dark")


# Of each element that has text of its own, the contrast of the text with the background behind it, as WCAG has it.
CONTRASTS = """() => {
  const parts = (colour) => colour.match(/[0-9.]+/g).map(Number);
  const light = (colour) => {
    const [r, g, b] = parts(colour).map((part) => part / 255)
      .map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (element) => {
    const colour = getComputedStyle(element).backgroundColor;
    return parts(colour)[3] === 0 ? behind(element.parentElement) : colour;
  };
  const hasText = (element) => [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
  return [...document.body.querySelectorAll("*")]
    .filter((each) => each.checkVisibility() && hasText(each))
    .map((each) => {
      const both = [light(getComputedStyle(each).color), light(behind(each))];
      return [each.textContent, (Math.max(...both) + 0.05) / (Math.min(...both) + 0.05)];
    });
}"""


def test_it_can_be_heard(serve, visit, files):
    served = serve([files["float32"]])
    page = visit(served.url)
    finished(page)
    assert page.locator("html").get_attribute("lang") == "en"
    assert page.title()
    assert page.get_by_role("heading", level=1).inner_text() == "Files on this phone"
    assert page.get_by_role("heading", level=2).inner_text() == "float32.tflite"
    assert page.get_by_role("status").inner_text() == page.get_by_role("progressbar").evaluate(
        "bar => document.getElementById(bar.getAttribute('aria-labelledby')).textContent"
    )
    assert page.get_by_role("progressbar").evaluate("bar => bar.value") == 1
    assert page.get_by_role("list", name="Results").count() == 1
    page.keyboard.press("Tab")
    button = page.get_by_role("button", name="Measure again")
    assert button.evaluate("button => button === document.activeElement")
    assert button.bounding_box()["height"] >= 44  # for a thumb


def test_it_is_quick(serve, visit, files, pictures):
    served = serve(list(files.values()), data=pictures)
    start = time.monotonic()
    finished(visit(served.url))
    assert time.monotonic() - start < 30


def test_a_page_that_stays_runs_what_comes_next_until_the_server_goes(serve, visit, files, pictures):
    served = serve([files["float32"]], data=pictures, stays=True)
    page = visit(served.url)
    served.wait(timeout=SECONDS)
    (phone,) = served.run([files["int8"], files["float32"]], data=pictures, timeout=SECONDS).check().phones
    assert [file.name for file in phone.files] == ["int8.tflite", "float32.tflite"]
    page.get_by_text("Waiting for files ...").wait_for()
    assert page.get_by_role("listitem").count() == 2
    served.close()
    page.get_by_role("button", name="Measure again").wait_for()
    assert "does not answer" in page.get_by_role("status").inner_text()


def test_a_page_at_work_turns_to_the_files_that_are_given_meanwhile(serve, visit, files, pictures):
    served = serve([files["float32"]] * 3, data=pictures, stays=True)
    page = visit(served.url)
    page.get_by_text("(1 of 3)").wait_for()
    (phone,) = served.run([files["int8"]], data=pictures, timeout=SECONDS).check().phones
    assert [file.name for file in phone.files] == ["int8.tflite"]
    page.get_by_text("Waiting for files ...").wait_for()
    assert page.get_by_role("listitem").count() == 1


STROKES = {  # of each digit, points on a pad of 1 by 1
    0: [[(0.5 + 0.2 * math.sin(turn / 3), 0.5 - 0.32 * math.cos(turn / 3)) for turn in range(20)]],
    1: [[(0.42, 0.3), (0.52, 0.15), (0.52, 0.85)]],
    2: [[(0.3, 0.3), (0.45, 0.16), (0.65, 0.25), (0.6, 0.45), (0.32, 0.82), (0.72, 0.82)]],
    3: [[(0.32, 0.2), (0.62, 0.2), (0.64, 0.4), (0.45, 0.48), (0.66, 0.6), (0.6, 0.8), (0.3, 0.82)]],
    7: [[(0.3, 0.18), (0.7, 0.18), (0.45, 0.85)], [(0.36, 0.5), (0.66, 0.5)]],
}


def draw(page, strokes):
    """Draws on the pad with a mouse."""
    page.get_by_role("button", name="Clear").click()
    pad = page.get_by_role("img", name=re.compile("Drawing pad"))
    pad.scroll_into_view_if_needed()
    box = pad.bounding_box()
    for stroke in strokes:
        points = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in stroke]
        page.mouse.move(*points[0])
        page.mouse.down()
        for point in points[1:]:
            page.mouse.move(*point, steps=4)
        page.mouse.up()


def test_digits_that_are_drawn_are_read(serve, visit, digits):
    model, path, x = digits
    page = visit(serve([path], model, x).url)
    page.get_by_role("heading", name="Draw a digit").wait_for()
    read = {}
    for digit, strokes in STROKES.items():
        draw(page, strokes)
        said = page.get_by_text(re.compile(r"^digits\.tflite reads \d\.$"))
        said.wait_for()
        read[digit] = int(re.search(r"\d", said.inner_text().rpartition(" ")[2])[0])
    assert sum(digit == found for digit, found in read.items()) >= 3, read
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_the_pad_needs_no_server_any_more(serve, visit, digits):
    """`measure` and the command close the server with the last result."""
    model, path, x = digits
    served = serve([path], model, x)
    page = visit(served.url)
    served.wait(timeout=SECONDS)
    served.close()
    page.get_by_role("heading", name="Draw a digit").wait_for()
    draw(page, STROKES[7])
    page.get_by_text(re.compile(r"^digits\.tflite reads \d\.$")).wait_for()
    assert page.get_by_text("Done. The computer has the results.").is_visible()
    assert is_clean(page, served)


def test_a_dot_is_read_and_what_begins_beside_the_pad_is_not(serve, visit, digits):
    page = visit(serve([digits[1]]).url)
    page.get_by_role("heading", name="Draw a digit").wait_for()
    said = page.get_by_text(re.compile(r"^digits\.tflite reads \d\.$"))
    pad = page.get_by_role("img", name=re.compile("Drawing pad"))
    pad.scroll_into_view_if_needed()
    box = pad.bounding_box()
    page.mouse.move(box["x"] - 5, box["y"] + 50)
    page.mouse.down()
    page.mouse.move(box["x"] + 90, box["y"] + 90, steps=4)
    page.mouse.up()
    page.wait_for_timeout(300)
    assert not said.is_visible()
    draw(page, [[(0.5, 0.5)]])
    said.wait_for()


def test_there_is_no_pad_for_other_files(serve, visit, files, pictures):
    page = visit(serve([files["int8"]], data=pictures).url)
    finished(page)
    assert not page.get_by_role("heading", name="Draw a digit").is_visible()
