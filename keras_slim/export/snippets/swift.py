"""An iOS app in Swift, by the `Interpreter` of TensorFlowLiteSwift."""

VERSION = "TensorFlowLiteSwift 2.17.0"
DTYPES = {
    "float32": "Float",
    "int32": "Int32",
    "int64": "Int64",
    "int8": "Int8",
    "uint8": "UInt8",
    "bool": "Bool",
}
"""For each type in a file that of Swift."""


def write(name, inputs, outputs):
    """Returns the code that calls a file.

    Args:
        name: Name of the file.
        inputs: The `Variable`s that go in.
        outputs: The `Variable`s that come out.
    """
    stem, _, ending = name.rpartition(".")
    lines = [
        f"// {VERSION} for iOS. In the Podfile:",
        "//     pod 'TensorFlowLiteSwift', '2.17.0'",
        f"// {name} is added to the target of the app.",
        "import Foundation",
        "import TensorFlowLite",
        "",
        f'let path = Bundle.main.path(forResource: "{stem or name}", ofType: "{ending if stem else ""}")!',
        "let interpreter = try Interpreter(modelPath: path)",
        "try interpreter.allocateTensors()",
        "",
    ]
    for variable in inputs:
        lines += [variable.describe(_kind(variable)), *_put(variable)]
    lines.append("try interpreter.invoke()")
    for variable in outputs:
        lines += [variable.describe(_kind(variable)), _take(variable)]
    return lines


def _kind(variable):
    return f"[{'Float' if variable.is_quantized else DTYPES[variable.tensor.dtype]}]"


def _put(variable):
    stored, rounding = variable.name, []
    if variable.is_quantized:
        stored, (low, high) = f"{variable.name}Stored", variable.limits
        rounded = f"($0 / {variable.scale}).rounded(){variable.shifted(1)}"
        rounding = [
            f"let {stored} = {variable.name}.map {{ "
            f"{DTYPES[variable.tensor.dtype]}(max({low}, min({high}, {rounded}))) }}"
        ]
    data = f"{stored}.withUnsafeBufferPointer {{ Data(buffer: $0) }}"
    return [*rounding, f"try interpreter.copy({data}, toInputAt: {variable.place})"]


def _take(variable):
    kind = DTYPES[variable.tensor.dtype]
    bytes_to_list = f".data.withUnsafeBytes {{ Array($0.bindMemory(to: {kind}.self)) }}"
    values = f"let {variable.name} = try interpreter.output(at: {variable.place}){bytes_to_list}"
    if not variable.is_quantized:
        return values
    return f"{values}\n    .map {{ (Float($0){variable.shifted(-1)}) * {variable.scale} }}"
