"""The lines for an app: the file's own numbers, each tensor at its place, and what needs no rounding not rounded."""

import json
import pathlib
import shutil
import subprocess

import keras
import numpy as np
import pytest
from keras import layers, ops

import keras_slim as slim
from keras_slim.cli import snippet as command
from keras_slim.errors import ExportError
from keras_slim.export import FileTensor, snippet_tflite
from keras_slim.export.snippet import LANGUAGES
from keras_slim.export.snippets.variable import variables
from keras_slim.export.tflite_file import TfliteFile, dequantize, quantize


@pytest.fixture(scope="module")
def branching(tmp_path_factory):
    """The path of a file that takes floats and bytes, and puts out the place of the best before the scores."""
    first, second = keras.Input((3,), name="model"), keras.Input((4,), name="my-bytes", dtype="uint8")
    both = layers.Concatenate()([first, ops.cast(second, "float32")])
    scores = layers.Dense(3, activation="softmax")(both)
    model = keras.Model([first, second], {"scores": scores, "best": ops.argmax(scores, axis=-1)})
    path = tmp_path_factory.mktemp("branching") / "two.tflite"
    data = [np.eye(3, dtype="float32"), np.eye(3, 4, dtype="uint8")]
    slim.export_tflite(model, path, data=data, verbose=0)
    return path


def test_the_command_knows_every_language():
    assert tuple(LANGUAGES) == command.LANGUAGES


@pytest.mark.parametrize("language", LANGUAGES)
def test_it_says_what_it_is(language, branching):
    text = snippet_tflite(branching, language)
    assert text.startswith("// Written by keras_slim for two.tflite, for TFLite ")
    assert "not compiled by us" in text.splitlines()[0]
    assert LANGUAGES[language].VERSION in text.splitlines()[1]
    assert len([line for line in text.splitlines() if line and not line.startswith(("//", "import"))]) <= 12


@pytest.mark.parametrize("language", LANGUAGES)
def test_floats_go_in_and_come_out_as_they_are(language, exported):
    text = snippet_tflite(exported[None].path, language).lower()
    assert not any(word in text for word in ("round", "scale", "math", "coerce", "map {", "int8"))


KOTLIN, SWIFT, REACT_NATIVE = "kotlin", "swift", "react-native"


@pytest.mark.parametrize(
    ("language", "lines"),
    [
        (
            KOTLIN,
            [
                "val inputs = listOf({names}).associateWith { model.createInputBuffer(it) }",
                "// modelValues: FloatArray of 3 numbers, the shape is (1, 3)",
                'inputs.getValue("model").writeFloat(modelValues)',
                'inputs.getValue("my_bytes").writeInt8(myBytes)',
                'val best = outputs.getValue("best").readInt()',
                'val scores = outputs.getValue("scores").readFloat()',
            ],
        ),
        (
            SWIFT,
            [
                'let path = Bundle.main.path(forResource: "two", ofType: "tflite")!',
                "// myBytes: [UInt8] of 4 numbers, the shape is (1, 4)",
                "try interpreter.copy(modelValues.withUnsafeBufferPointer { Data(buffer: $0) }, toInputAt: {model})",
                "try interpreter.copy(myBytes.withUnsafeBufferPointer { Data(buffer: $0) }, toInputAt: {my_bytes})",
                "let best = try interpreter.output(at: {best}).data"
                ".withUnsafeBytes { Array($0.bindMemory(to: Int32.self)) }",
                "let scores = try interpreter.output(at: {scores}).data"
                ".withUnsafeBytes { Array($0.bindMemory(to: Float.self)) }",
            ],
        ),
        (
            REACT_NATIVE,
            [
                "const model = await loadTensorflowModel(require('./assets/two.tflite'), [])",
                "// best: Int32Array of 1 number, the shape is (1)",
                "const outputs = await model.run([{buffers}])",
                "const best = new Int32Array(outputs[{best}])",
                "const scores = new Float32Array(outputs[{scores}])",
            ],
        ),
    ],
)
def test_each_tensor_is_at_its_place(language, lines, branching):
    interpreter = TfliteFile(branching).interpreter
    runner = interpreter.get_signature_runner()
    written = snippet_tflite(branching, language).splitlines()
    for named, ordered in (
        (runner.get_input_details(), interpreter.get_input_details()),
        (runner.get_output_details(), interpreter.get_output_details()),
    ):
        for name, details in named.items():
            place = [each["index"] for each in ordered].index(details["index"])
            lines = [line.replace(f"{{{name}}}", str(place)) for line in lines]
    in_order = [details["name"] for details in interpreter.get_input_details()]
    inputs = sorted(runner.get_input_details().items(), key=lambda item: in_order.index(item[1]["name"]))
    buffers = {"model": "modelValues.buffer", "my_bytes": "myBytes.buffer"}
    lines = [line.replace("{names}", ", ".join(f'"{name}"' for name, _ in inputs)) for line in lines]
    lines = [line.replace("{buffers}", ", ".join(buffers[name] for name, _ in inputs)) for line in lines]
    assert [line for line in lines if line not in written] == []


def test_integers_are_made_and_read_with_the_numbers_of_the_file(exported):
    (given,), (taken,) = exported["int8"].inputs, exported["int8"].outputs
    into, out = f"{given.scale:.9g}", f"{taken.scale:.9g}"
    plus = f"{'+' if given.zero_point > 0 else '-'} {abs(given.zero_point)}"
    minus = f"{'-' if taken.zero_point > 0 else '+'} {abs(taken.zero_point)}"
    expected = {
        KOTLIN: (
            f"((pictures[it] / {into}f).roundToInt() {plus}).coerceIn(-128, 127).toByte()",
            f"outputs[0].readInt8().map {{ (it {minus}) * {out}f }}",
        ),
        SWIFT: (
            f"pictures.map {{ Int8(max(-128, min(127, ($0 / {into}).rounded() {plus}))) }}",
            f".map {{ (Float($0) {minus}) * {out} }}",
        ),
        REACT_NATIVE: (
            f"Math.max(-128, Math.min(127, Math.round(value / {into}) {plus}))",
            f"Array.from(new Int8Array(outputs[0]), (value) => (value {minus}) * {out})",
        ),
    }
    for language, parts in expected.items():
        text = snippet_tflite(exported["int8"].path, language)
        assert [part for part in parts if part not in text] == []


@pytest.mark.skipif(shutil.which("node") is None, reason="needs Node.js to run JavaScript")
def test_javascript_computes_what_python_does(exported):
    file = TfliteFile(exported["int8"].path)
    given, taken = file.inputs["pictures"], file.outputs["output_0"]
    values = np.linspace(-4, 4, 72).reshape(1, 6, 6, 2).astype("float32")
    stored = np.array([[-128, -1, 0, 5, 127]], "int8")
    lines = snippet_tflite(file.path, REACT_NATIVE).splitlines()
    code = "\n".join(
        [
            "const require = (path) => path",
            "const run = async (given) => (console.log(JSON.stringify([...new Int8Array(given[0])])), "
            f"[new Int8Array({stored[0].tolist()}).buffer])",
            "const loadTensorflowModel = async () => ({ run })",
            f"const pictures = {values.ravel().tolist()}",
            *(line for line in lines if not line.startswith("import")),
            "console.log(JSON.stringify(output0))",
        ]
    )
    command = ["node", "--input-type=module", "-"]
    done = subprocess.run(command, input=code, capture_output=True, text=True, check=True)
    into, out = map(json.loads, done.stdout.splitlines())
    np.testing.assert_array_equal(into, quantize(values, given).ravel())
    np.testing.assert_allclose(out, dequantize(stored, taken)[0], rtol=1e-6)


def test_variables_have_names_of_their_own():
    tensors = [FileTensor(name, (1,), "float32") for name in ("model", "a b", "a_b", "1st", "::", "class", "delete")]
    names = [variable.name for variable in variables(tensors, tensors[1:2])[0]]
    assert names == ["modelValues", "aB", "aBValues", "tensor1st", "tensor", "classValues", "deleteValues"]
    assert variables(tensors, tensors[1:2])[1][0].name == "aBValuesValues"


def test_bytes_that_stand_for_numbers(monkeypatch, exported):
    tensor = FileTensor("x", (1, 2), "uint8", 0.5, 3)
    into, out = variables([tensor], [tensor])
    text = "\n".join(LANGUAGES[KOTLIN].write("a.tflite", into, out))
    assert "inputs[0].writeInt8(ByteArray(2) { ((x[it] / 0.5f).roundToInt() + 3).coerceIn(0, 255).toByte() })" in text
    assert "outputs[0].readInt8().map { ((it.toInt() and 0xff) - 3) * 0.5f }" in text


def test_what_a_runtime_has_not_is_told(tmp_path):
    model = keras.Sequential([keras.Input((2,), dtype="int16"), layers.Rescaling(0.5, dtype="float32")])
    slim.export_tflite(model, tmp_path / "a.tflite", data=np.eye(2, dtype="int16"), verbose=0)
    with pytest.raises(ExportError, match="of type int16.*TensorFlowLiteSwift.*'float32'"):
        snippet_tflite(tmp_path / "a.tflite", "swift")
    with pytest.raises(ValueError, match="Did you mean 'kotlin'"):
        snippet_tflite(tmp_path / "a.tflite", "kotln")
    with pytest.raises(FileNotFoundError):
        snippet_tflite(tmp_path / "none.tflite", "swift")


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_page_shows_what_is_written(language):
    page = (pathlib.Path(__file__).parents[2] / "docs" / "mobile-apps.md").read_text(encoding="utf-8")
    image = FileTensor("image", (1, 8, 8, 1), "int8", 1 / 255, -128)
    scores = FileTensor("scores", (1, 10), "int8", 1 / 256, -128)
    assert f"{image}\n" in page
    assert f"{scores}\n" in page
    lines = LANGUAGES[language].write("digits.tflite", *variables([image], [scores]))
    assert "\n".join(["", *lines, "```"]) in page
