"""An app in React Native, by react-native-fast-tflite."""

VERSION = "react-native-fast-tflite 3.0.1"
DTYPES = {
    "float32": "Float32Array",
    "int32": "Int32Array",
    "int64": "BigInt64Array",
    "int8": "Int8Array",
    "uint8": "Uint8Array",
    "bool": "Uint8Array",
}
"""For each type in a file the list that JavaScript has for it."""


def write(name, inputs, outputs):
    """Returns the code that calls a file.

    Args:
        name: Name of the file.
        inputs: The `Variable`s that go in.
        outputs: The `Variable`s that come out.
    """
    lines = [
        f"// {VERSION} for Android and iOS:",
        "//     npm install react-native-fast-tflite@3.0.1 react-native-nitro-modules",
        f"// {name} is in assets, and 'tflite' among resolver.assetExts of metro.config.js.",
        "import { loadTensorflowModel } from 'react-native-fast-tflite'",
        "",
        f"const model = await loadTensorflowModel(require('./assets/{name}'), [])",
        "",
    ]
    for variable in inputs:
        kind = "a list" if variable.is_quantized else DTYPES[variable.tensor.dtype]
        lines += [variable.describe(kind), *_put(variable)]
    given = ", ".join(f"{_stored(variable)}.buffer" for variable in inputs)
    lines.append(f"const outputs = await model.run([{given}])")
    for variable in outputs:
        kind = "a list" if variable.is_quantized else DTYPES[variable.tensor.dtype]
        lines += [variable.describe(kind), _take(variable)]
    return lines


def _stored(variable):
    return f"{variable.name}Stored" if variable.is_quantized else variable.name


def _put(variable):
    if not variable.is_quantized:
        return []
    low, high = variable.limits
    rounded = f"Math.round(value / {variable.scale}){variable.shifted(1)}"
    kind = DTYPES[variable.tensor.dtype]
    return [
        f"const {_stored(variable)} = {kind}.from({variable.name}, "
        f"(value) => Math.max({low}, Math.min({high}, {rounded})))"
    ]


def _take(variable):
    values = f"new {DTYPES[variable.tensor.dtype]}(outputs[{variable.place}])"
    if variable.is_quantized:
        values = f"Array.from({values}, (value) => (value{variable.shifted(-1)}) * {variable.scale})"
    return f"const {variable.name} = {values}"
