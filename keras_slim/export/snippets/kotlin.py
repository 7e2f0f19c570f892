"""An Android app in Kotlin, by the `CompiledModel` of LiteRT 2."""

VERSION = "LiteRT 2.3.0"
DTYPES = {
    "float32": ("FloatArray", "Float"),
    "int32": ("IntArray", "Int"),
    "int64": ("LongArray", "Long"),
    "int8": ("ByteArray", "Int8"),
    "uint8": ("ByteArray", "Int8"),
    "bool": ("BooleanArray", "Boolean"),
}
"""For each type in a file the list that Kotlin has for it, and what it is called in the names of functions."""


def write(name, inputs, outputs):
    """Returns the code that calls a file.

    Args:
        name: Name of the file.
        inputs: The `Variable`s that go in.
        outputs: The `Variable`s that come out.
    """
    is_named = len(inputs) > 1 or len(outputs) > 1  # lists would have an order of their own
    lines = [
        f"// {VERSION} for Android. In build.gradle.kts:",
        '//     implementation("com.google.ai.edge.litert:litert:2.3.0")',
        f"// {name} goes into src/main/assets; `context` is the app's.",
        "import com.google.ai.edge.litert.Accelerator",
        "import com.google.ai.edge.litert.CompiledModel",
        *(["import kotlin.math.roundToInt"] if any(variable.is_quantized for variable in inputs) else []),
        "",
        f'val model = CompiledModel.create(context.assets, "{name}", CompiledModel.Options(Accelerator.CPU))',
        f"val inputs = {_buffers('Input', inputs, is_named)}",
        f"val outputs = {_buffers('Output', outputs, is_named)}",
        "",
    ]
    for variable in inputs:
        kind = "FloatArray" if variable.is_quantized else DTYPES[variable.tensor.dtype][0]
        lines += [variable.describe(kind), _put(variable, is_named)]
    lines.append("model.run(inputs, outputs)")
    for variable in outputs:
        kind = "List<Float>" if variable.is_quantized else DTYPES[variable.tensor.dtype][0]
        lines += [variable.describe(kind), _take(variable, is_named)]
    return lines


def _buffers(side, variables, is_named):
    if not is_named:
        return f"model.create{side}Buffers()"
    names = ", ".join(f'"{variable.tensor.name}"' for variable in variables)
    return f"listOf({names}).associateWith {{ model.create{side}Buffer(it) }}"


def _buffer(side, variable, is_named):
    return f'{side}.getValue("{variable.tensor.name}")' if is_named else f"{side}[0]"


def _put(variable, is_named):
    buffer, (kind, word) = _buffer("inputs", variable, is_named), DTYPES[variable.tensor.dtype]
    if not variable.is_quantized:
        return f"{buffer}.write{word}({variable.name})"
    rounded = f"(({variable.name}[it] / {variable.scale}f).roundToInt(){variable.shifted(1)})"
    low, high = variable.limits
    return f"{buffer}.write{word}({kind}({variable.tensor.size}) {{ {rounded}.coerceIn({low}, {high}).toByte() }})"


def _take(variable, is_named):
    word = DTYPES[variable.tensor.dtype][1]
    values = f"val {variable.name} = {_buffer('outputs', variable, is_named)}.read{word}()"
    if not variable.is_quantized:
        return values
    stored = "(it.toInt() and 0xff)" if variable.tensor.dtype == "uint8" else "it"
    return f"{values}.map {{ ({stored}{variable.shifted(-1)}) * {variable.scale}f }}"
