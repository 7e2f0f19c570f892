import html.parser
import json
import re
import xml.etree.ElementTree

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_slim as slim
from keras_slim.graph.channel_graph import Whole
from keras_slim.pruning import Cost, Trajectory, TrajectoryPoint
from keras_slim.reports import Comparison, ComparisonRow, KernelValues, LayerWidth, ModelReport
from keras_slim.reports.page import style
from keras_slim.rewriting import describe

HOSTILE = "<script>alert('x')</script>"


def network(width, name="net"):
    stack = [keras.layers.Dense(width, activation="relu", name="hidden"), keras.layers.Dense(3, name="scores")]
    return keras.Sequential([keras.Input((4,)), *stack], name=name)


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    return rng.random((30, 4), "float32"), rng.integers(0, 3, 30)


@pytest.fixture(scope="module")
def models():
    keras.utils.set_random_seed(0)
    return network(16, "before"), network(8)


@pytest.fixture(scope="module")
def files(models, data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    paths = {"before": [folder / "dense.tflite"], "after": [folder / "small.tflite", folder / "small8.tflite"]}
    slim.export_tflite(models[0], paths["before"][0], data=data[0], verbose=0)
    slim.export_tflite(models[1], paths["after"][0], data=data[0], verbose=0)
    slim.export_tflite(models[1], paths["after"][1], "int8", data=data[0], verbose=0)
    return paths


@pytest.fixture(scope="module")
def found(models, data, files):
    plan = slim.plan_pruning(models[0], 0.5)
    return slim.report(*models, data, files=files, made_by=plan)


def rows(report):
    return {row.label: (row.before, row.after) for row in report.comparison.rows}


def right(model, x, y):
    return np.mean(np.argmax(keras.ops.convert_to_numpy(model(x)), axis=1) == y)


class Page(html.parser.HTMLParser):
    """What a page holds: its tags with attributes, and all its words."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.words = [], []
        self.feed(text)
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.words.append(data)


def test_sizes_quality_and_files_are_measured(found, models, data, files):
    (before, after), (x, y) = models, data
    known = rows(found)
    # 4 to 16 to 3, and 4 to 8 to 3
    assert known["parameters"] == (5 * 16 + 17 * 3, 5 * 8 + 9 * 3)
    assert known["multiply-accumulates"] == (4 * 16 + 16 * 3, 4 * 8 + 8 * 3)
    assert known["accuracy"] == pytest.approx((right(before, x, y), right(after, x, y)))
    dense, small, small8 = (path.stat().st_size for path in (*files["before"], *files["after"]))
    assert known["float32 file"] == (dense, small)
    assert known["int8 file"] == (None, small8)
    assert known["accuracy, float32 file"] == pytest.approx(known["accuracy"])
    assert min(known["float32 file and model agree"]) > 100
    assert min(known["float32 file, one sample"]) > 0
    assert [(file.name, file.side, file.precision) for file in found.files] == [
        ("dense.tflite", "before", "float32"),
        ("small.tflite", "after", "float32"),
        ("small8.tflite", "after", "int8"),
    ]
    assert found.samples == 30
    assert found.widths == (LayerWidth("hidden", 16, 8), LayerWidth("scores", 3, 3))
    sizes = "Parameters -48.9%, multiply-accumulates -50.0%, weights in memory -48.9%."
    assert found.sentence().startswith(f"{sizes} Accuracy went from {known['accuracy'][0]:.1%} to ")


def test_the_models_stay_as_they_were(data):
    model = network(4)
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=["mae"], jit_compile=False)
    optimizer = model.optimizer
    slim.report(model, model, data, metrics=["accuracy", "sparse_top_k_categorical_accuracy"])
    assert model.optimizer is optimizer
    assert model.get_compile_config()["metrics"] == ["mae"]


def test_a_plan_tells_what_was_left_and_how_it_was_made(found):
    assert found.left == (Whole(("scores",), ("its units are a model output",)),)
    (step,) = found.steps
    assert (step["step"], step["ratio"], step["of"]) == ("pruned", 0.5, "units")
    assert "scores: its units are a model output" in str(found)


def test_the_page_is_whole_and_asks_for_nothing(found):
    text = found.to_html()
    page = Page(text)
    assert not {tag for tag, _ in page.tags} & {"script", "iframe", "object", "embed", "base"}
    assert not [attrs for _, attrs in page.tags if "src" in attrs]
    assert {attrs["href"] for _, attrs in page.tags if "href" in attrs} == {"data:,"}
    assert not re.findall(r"url\(|@import|https?://", text)
    for _, *cells in (row.cells() for row in found.comparison.rows):
        for cell in filter(None, cells):
            assert cell in page.text
    for part in ("net, before and after", found.sentence(), "small8.tflite", "8 of 16", "its units are a model output"):
        assert part in page.text


def test_the_page_can_be_read_aloud(found):
    page = Page(found.to_html())
    assert ("html", {"lang": "en"}) in page.tags
    names = [attrs for tag, attrs in page.tags if tag == "th"]
    assert all(attrs.get("scope") in ("col", "row") for attrs in names)
    assert [tag for tag, _ in page.tags].count("caption") == [tag for tag, _ in page.tags].count("table") > 3
    for tag, attrs in page.tags:
        if tag == "svg":
            assert attrs.get("aria-hidden") == "true" or (attrs["role"], bool(attrs["aria-label"])) == ("img", True)
    assert [tag for tag, _ in page.tags].count("h1") == 1


def made_up(**others):
    """A report with names that would break a page or a card."""
    held = TrajectoryPoint(1, 0.9, True, Cost(8, 90, None), {})
    lost = TrajectoryPoint(3, 0.8, False, Cost(6, 60, None), {})
    parts = {
        "name": HOSTILE,
        "comparison": Comparison((ComparisonRow(HOSTILE, 2_000, 1_000), ComparisonRow("mse|x", 0.5, 0.25, "number"))),
        "widths": (LayerWidth(HOSTILE, 8, 4), LayerWidth("gone", 8, None), LayerWidth("new", None, 2)),
        "files": (),
        "samples": 12,
        "weights": (
            KernelValues(f"{HOSTILE}/kernel", 20, 10, True, (-1.0, 0.5), (6, 4)),
            KernelValues("free", 6, 6, False, (0.0, 1.0, 2.0), (2, 4)),
        ),
        "left": (Whole((HOSTILE,), ("why & so",)),),
        "steps": ({"epoch": 2, "held": True, HOSTILE: HOSTILE},),
        "trajectory": Trajectory(HOSTILE, 0.85, (held, lost)),
        "description": None,
        "environment": {"processor": HOSTILE},
    }
    return ModelReport(**parts | others)


def test_names_are_shown_as_they_are():
    text = made_up().to_html()
    page = Page(text)
    assert "script" not in {tag for tag, _ in page.tags}
    assert "<script" not in text
    assert page.text.count(HOSTILE) >= 8
    assert r"\<script\>" in made_up().to_markdown()
    assert "<script" not in made_up().to_markdown().replace(r"\<", "")


def test_widths_are_bars_on_one_scale():
    pictures = re.findall(r"<svg class=\"bar\".*?</svg>", made_up().to_html())
    sizes = [[rect.get("width") for rect in xml.etree.ElementTree.fromstring(each)] for each in pictures]
    assert sizes == [["100.00", "50.00"], ["100.00", "0.00"], ["0.00", "25.00"]]
    assert all(words in Page(made_up().to_html()).text for words in ("4 of 8", "gone", "2, new"))


def test_histograms_and_shared_values_are_drawn():
    shared, free = re.findall(r"<svg class=\"values\".*?</svg>", made_up().to_html())
    assert 'd="M0.00 40V1.00M100.00 40V14.00"' in shared  # 39 high is six; four are 26
    assert 'd="M0 40V20.50H50.00V1.00H100.00V40Z"' in free
    text = Page(made_up().to_html()).text
    assert "20 weights, 50.0% zeros, 2 shared values" in text
    assert "6 weights, 0.0% zeros" in text


def test_of_many_kernels_some_are_folded_away():
    kernels = tuple(KernelValues(f"kernel_{place}", 6, 6, False, (0.0, 1.0), (6,)) for place in range(70))
    page = Page(made_up(weights=kernels).to_html())
    assert [tag for tag, attrs in page.tags if attrs.get("class") == "values"] == ["svg"] * 60
    assert "kernel_11 6 weights, 0.0% zeros 48 more kernels 0 1 kernel_12" in page.text
    assert "kernel_60" not in page.text
    assert "10 more kernels are in the data" in page.text


def test_a_search_is_drawn_and_told():
    text = made_up().to_html()
    (chart,) = re.findall(r"<svg class=\"chart\".*?</svg>", text)
    drawing = xml.etree.ElementTree.fromstring(chart)
    classes = [part.get("class") for part in drawing]
    assert (classes.count("held"), classes.count("lost"), classes.count("floor")) == (1, 1, 1)
    assert "2 90 0.9 held" in Page(text).text  # epochs are counted from 1
    assert "given up" in Page(text).text


def test_what_is_not_known_is_left_out():
    report = made_up(widths=(), weights=(), left=(), steps=(), trajectory=None, samples=None)
    headings = "Layer by layer", "Values of", "Left as", "How it", "The search", "Files for"
    assert not [words for words in headings if words in report.to_html()]
    assert "## Files" not in report.to_markdown()


def test_the_model_card(found):
    card = found.to_markdown()
    assert card.startswith("---\nlibrary_name: litert\n")
    for part in (
        found.comparison.to_markdown(),
        "| small8.tflite | after | int8 |",
        "on 30 samples",
        "- Left as it was: scores",
    ):
        assert part in card
    sections = re.findall("^## (.*)$", card, re.MULTILINE)
    assert sections == ["Sizes, quality and speed", "Files", "How it was made", "Limits", "Where it was measured"]


def test_the_data_survive_json(found):
    plain = json.loads(found.to_json())
    assert plain["comparison"]["rows"][0]["before"] == 131
    assert plain["files"][2]["agreement"]["quantize"] == "int8"
    assert json.loads(made_up().to_json())["trajectory"]["points"][1]["held"] is False


def test_a_model_that_has_diverged_leaves_valid_json(models, data):
    broken = keras.models.clone_model(models[1])
    broken.set_weights([np.full_like(weight, np.nan) for weight in broken.get_weights()])
    found = slim.report(models[1], broken, (data[0], np.zeros((30, 3))), metrics="mae")
    assert np.isnan(found.quality[0].after)
    plain = json.loads(found.to_json(), parse_constant=pytest.fail)
    assert [row["after"] for row in plain["comparison"]["rows"] if row["label"] == "mae"] == [None]


@pytest.mark.parametrize(
    ("targets", "metric"),
    [
        (np.linspace(0, 9, 90).reshape(30, 3), "mae"),
        ([np.linspace(0, 9, 90).reshape(30, 3)], "mae"),
        (np.arange(30) % 3, "accuracy"),
        ((np.arange(30) % 3).astype("float32"), "accuracy"),
        (np.eye(3)[np.arange(30) % 3], "accuracy"),
        (np.full((30, 3), 0.1) + 0.7 * np.eye(3)[np.arange(30) % 3], "accuracy"),
    ],
    ids=["real", "real, in a list", "classes", "classes as floats", "one-hot", "smoothed"],
)
def test_without_metrics_the_usual_one_is_measured(targets, metric, models, data):
    found = slim.report(*models, (data[0], targets))
    assert [row.label for row in found.quality] == [metric]
    if metric == "mae":
        answers = keras.ops.convert_to_numpy(models[1](data[0]))
        assert found.quality[0].after == pytest.approx(np.abs(answers - np.reshape(targets, answers.shape)).mean())


def test_inputs_alone_tell_of_agreement_and_not_of_quality(models, data, files):
    found = slim.report(*models, data[0], files=files["after"][0])
    assert found.quality == ()
    assert found.files[0].agreement.sqnr_db > 100
    assert found.samples == 30
    assert "Quality was not measured" in found.to_markdown()


def test_without_data_sizes_and_milliseconds_are_left(models, files):
    found = slim.report(*models, files=str(files["after"][1]))
    assert (found.samples, found.quality, found.files[0].agreement) == (None, (), None)
    assert "not looked at, for want of samples" in found.to_html()


def test_models_from_files_are_weighed(models, tmp_path):
    for model, name in zip(models, ("before.keras", "after.keras"), strict=True):
        model.save(tmp_path / name)
    found = slim.report(tmp_path / "before.keras", str(tmp_path / "after.keras"), path=tmp_path / "report.html")
    assert rows(found)[".keras file"] == tuple((tmp_path / f"{n}.keras").stat().st_size for n in ("before", "after"))
    assert (tmp_path / "report.html").read_text(encoding="utf-8") == found.to_html() + "\n"
    with pytest.raises(FileNotFoundError, match=r"no file .*none\.keras.*`after`"):
        slim.report(models[0], tmp_path / "none.keras")


@keras.saving.register_keras_serializable("test_report")
class Subclassed(keras.Model):
    def __init__(self, width, **options):
        super().__init__(**options)
        self.hidden, self.scores = keras.layers.Dense(width), keras.layers.Dense(3)

    def call(self, inputs):
        return self.scores(keras.ops.relu(self.hidden(inputs)))

    def get_config(self):
        return {"width": self.hidden.units, "name": self.name}


def test_subclassed_models_from_files_are_read(data, tmp_path):
    model = Subclassed(8)
    model(data[0])
    model.save(tmp_path / "model.keras")
    found = slim.report(model, tmp_path / "model.keras", data)
    assert rows(found)["parameters"] == (67, 67)
    assert rows(found)["accuracy"] == pytest.approx([right(model, *data)] * 2)


def test_values_that_weights_share_are_counted(models):
    shared = keras.models.clone_model(models[1])
    shared.set_weights(models[1].get_weights())
    slim.share_weights(shared, bits=2)
    found = slim.report(models[1], shared)
    assert rows(found)["distinct values in kernels"] == (4 * 8 + 8 * 3, 2 * 4)
    assert found.sentence() == "Distinct values in kernels -85.7%."
    assert "distinct values in kernels" not in rows(slim.report(*models))


def test_few_bits_are_described(models):
    rounded = slim.quantize(models[1], "int", "int", skip=("last",))
    found = slim.report(models[1], rounded, made_by=[describe(rounded)])
    assert found.left[0].layers == ("scores",)
    assert rows(found)["weights as rounded"][1] < rows(found)["weights as rounded"][0]
    assert "Few bits" in found.to_html()
    assert ", weights as rounded -" in found.sentence()
    assert "multiply" not in found.sentence()  # which are as many as before
    assert slim.report(models[1], models[1]).sentence() == "No size has changed."


@pytest.mark.parametrize("ending", ["html", "md", "json"])
def test_a_report_is_written_whole(ending, tmp_path):
    path = tmp_path / f"report.{ending}"
    made_up().write(path)
    assert path.read_text(encoding="utf-8").rstrip().endswith({"html": "</html>", "md": ">", "json": "}"}[ending])
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


def test_wrong_arguments_are_refused_before_any_work(tmp_path, monkeypatch):
    monkeypatch.setattr("keras_slim.reports.reporting.profile", None)  # any work would call it
    model = network(4)
    with pytest.raises(ValueError, match=r"`path` of `report`.*\.html.*\.md.*\.json.*report\.pdf"):
        slim.report(model, model, path=tmp_path / "report.pdf")
    with pytest.raises(ValueError, match="`metrics` of `report`.*accuraccy"):
        slim.report(model, model, metrics="accuraccy")
    with pytest.raises(ValueError, match="`files` of `report`.*'before' and 'after'"):
        slim.report(model, model, files={"small": "a.tflite"})
    with pytest.raises(FileNotFoundError, match=r"no file none\.tflite"):
        slim.report(model, model, files="none.tflite")
    for wrong in (3, "plan.json"):
        with pytest.raises(TypeError, match=f"`made_by` of `report`.*PruningPlan.*made_by='?{wrong}"):
            slim.report(model, model, made_by=wrong)


def test_data_that_do_not_fit_are_refused(models):
    with pytest.raises(ValueError, match="`data` of `report`.*'before'"):
        slim.report(*models, (np.ones((4, 5)), np.zeros(4)))


def test_a_data_set_of_inputs_alone_tells_of_agreement(models, data, files):
    batches = tf.data.Dataset.from_tensor_slices(data[0]).batch(7)
    found = slim.report(*models, batches, files=files["after"][0])
    assert (found.quality, found.samples) == ((), 30)
    assert found.files[0].agreement.sqnr_db > 100


def test_data_sets_are_measured_too(models, data, files):
    class Batches(keras.utils.PyDataset):
        num_batches = 3

        def __getitem__(self, index):
            return data[0][index::3], data[1][index::3]

    found = slim.report(*models, Batches(), files=files["after"][0])
    assert rows(found)["accuracy"] == pytest.approx([right(m, *data) for m in models])
    assert found.samples == 30


@pytest.mark.parametrize("scheme", [0, 1])
def test_colours_can_be_told_apart(scheme):
    text = style()
    colours = dict(re.findall(r"--(\w+): (#\w+)", text.split("@media (prefers-color-scheme: dark)")[scheme]))
    for name in ("text", "soft"):
        assert min(contrast(colours[name], colours[ground]) for ground in ("page", "card")) >= 4.5
    for name in ("is", "was", "other"):
        assert contrast(colours[name], colours["card"]) >= 3


def contrast(one, other):
    """The contrast of two colours as WCAG 2 has it."""
    low, high = sorted(map(luminance, (one, other)))
    return (high + 0.05) / (low + 0.05)


def luminance(colour):
    shares = np.array([int(colour[place : place + 2], 16) for place in (1, 3, 5)]) / 255
    return np.where(shares <= 0.04045, shares / 12.92, ((shares + 0.055) / 1.055) ** 2.4) @ (0.2126, 0.7152, 0.0722)
