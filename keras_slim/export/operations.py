"""What a LiteRT file is made of: its operations, the type of its weights, and the parts XNNPACK runs.

This file goes beyond documented interfaces, where there is no other way; checked on ai-edge-litert 2.3.0: the generated
flatbuffer schema for what the file holds (loops included), the interpreter's list of nodes for what XNNPACK took over.
"""

import collections

import numpy as np


class FileContents:
    """The operations and weights in a file that the interpreter has accepted.

    Args:
        content: The bytes of the file.
    """

    def __init__(self, content):
        from ai_edge_litert import schema_py_generated as schema

        self._schema = schema
        self._model = schema.Model.GetRootAs(content, 0)
        self._subgraphs = [self._model.Subgraphs(index) for index in range(self._model.SubgraphsLength())]

    def operations(self):
        """Returns how often each operation occurs, a dictionary by name, the most frequent first."""
        codes = self.codes()
        counts = collections.Counter(
            codes[subgraph.Operators(k).OpcodeIndex()]
            for subgraph in self._subgraphs
            for k in range(subgraph.OperatorsLength())
        )
        return dict(counts.most_common())

    def codes(self):
        """Returns the names of the operations by the number that the file has for each."""
        return [self._operation_name(self._model.OperatorCodes(k)) for k in range(self._model.OperatorCodesLength())]

    def float_operations(self):
        """Returns the operations that take or give floats, but those that turn them to integers and back.

        Returns:
            A list of pairs: the operation's name, and the names of its tensors, outputs first, then weights.
        """
        found = []
        for subgraph in self._subgraphs:
            for index in range(subgraph.OperatorsLength()):
                operator = subgraph.Operators(index)
                name = self._operation_name(self._model.OperatorCodes(operator.OpcodeIndex()))
                inputs, outputs = ([subgraph.Tensors(k) for k in every if k >= 0] for every in _tensors_of(operator))
                tensors = outputs + sorted(inputs, key=self._is_computed)
                is_float = any(tensor.Type() == self._schema.TensorType.FLOAT32 for tensor in tensors)
                if is_float and name not in ("QUANTIZE", "DEQUANTIZE"):
                    found.append((name, [tensor.Name().decode() for tensor in tensors]))
        return found

    def severed_operations(self):
        """Returns the names of the operations that lack an operand they cannot do without, a set."""
        found = set()
        for subgraph in self._subgraphs:
            for operator in map(subgraph.Operators, range(subgraph.OperatorsLength())):
                name = self._operation_name(self._model.OperatorCodes(operator.OpcodeIndex()))
                operands, _ = _tensors_of(operator)
                if any(k < 0 for k in operands[: _num_needed(name)]):
                    found.add(name)
        return found

    def weight_types(self):
        """Returns the types in which constants are stored, a set of names such as `"INT8"`."""
        names = _names(self._schema.TensorType)
        tensors = [subgraph.Tensors(k) for subgraph in self._subgraphs for k in range(subgraph.TensorsLength())]
        return {names[tensor.Type()] for tensor in tensors if not self._is_computed(tensor)}

    def least_runtime(self):
        """Returns the version of TensorFlow Lite that the converter asks for, a string such as `"2.2.0"`, or `None`."""
        for index in range(self._model.MetadataLength()):
            metadata = self._model.Metadata(index)
            buffer = self._model.Buffers(metadata.Buffer())
            if metadata.Name() == b"min_runtime_version" and buffer.DataLength():
                return buffer.DataAsNumpy().tobytes().rstrip(b"\0").decode() or None
        return None

    def _is_computed(self, tensor):
        return not self._model.Buffers(tensor.Buffer()).DataLength()

    def _operation_name(self, code):
        custom = code.CustomCode()
        if custom is not None:
            return f"custom {custom.decode()}"
        return _names(self._schema.BuiltinOperator)[max(code.BuiltinCode(), code.DeprecatedBuiltinCode())]


def without_operations(content, names):
    """Returns the bytes of a file less all operations of these names, for what tells only of the first that it lacks.

    What they would have computed stays without a source: such a file answers nothing.
    """
    left_out = {index for index, name in enumerate(FileContents(content).codes()) if name in names}
    model = _unpacked(content)
    for subgraph in model.subgraphs:
        subgraph.operators = [each for each in subgraph.operators or () if each.opcodeIndex not in left_out]
    return _packed(model)


def bytes_in_float32(content):
    """Returns about how large a file of integers would be in float32: some per cent more or less.

    Weights take four bytes, scales and zero points none. What only the integers need, such as tables, is left in.

    Args:
        content: The bytes of the file.
    """
    from ai_edge_litert import schema_py_generated as schema

    times = {schema.TensorType.INT8: 4, schema.TensorType.INT4: 8}  # two of the latter share a byte
    model = _unpacked(content)
    stored = {}
    for tensor in (tensor for subgraph in model.subgraphs for tensor in subgraph.tensors):
        tensor.quantization = None
        if tensor.type in times:
            stored[tensor.buffer] = times[tensor.type]
            tensor.type = schema.TensorType.FLOAT32
    for place, factor in stored.items():
        if model.buffers[place].data is not None:
            model.buffers[place].data = np.tile(np.asarray(model.buffers[place].data, "uint8"), factor)
    return len(_packed(model))


def _unpacked(content):
    from ai_edge_litert import schema_py_generated as schema

    return schema.ModelT.InitFromObj(schema.Model.GetRootAs(content, 0))


def _packed(model):
    import flatbuffers

    builder = flatbuffers.Builder()
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def count_partitions(interpreter):
    """Returns the number of parts that XNNPACK runs; one is best, each further one costs a hand-over."""
    return sum(details["op_name"] == "DELEGATE" for details in interpreter._get_ops_details())


def delegated_operations(interpreter):
    """Returns how often each operation occurs in the parts that XNNPACK runs, a dictionary by name.

    A part takes the place of all that its outputs are computed from, up to its inputs. Bodies of loops are not counted.
    """
    nodes = interpreter._get_ops_details()
    makers = {tensor: node for node in nodes if node["op_name"] != "DELEGATE" for tensor in node["outputs"].tolist()}
    taken = {}
    for part in nodes:
        if part["op_name"] != "DELEGATE":
            continue
        given, wanted = set(part["inputs"].tolist()), part["outputs"].tolist()
        while wanted:
            tensor = wanted.pop()
            node = makers.get(tensor) if tensor >= 0 and tensor not in given else None
            if node is not None and node["index"] not in taken:
                taken[node["index"]] = node["op_name"]
                wanted.extend(node["inputs"].tolist())
    return dict(collections.Counter(taken.values()).most_common())


def _tensors_of(operator):
    """Returns the positions of the inputs and of the outputs of an operation."""
    inputs = [operator.Inputs(k) for k in range(operator.InputsLength())]
    return inputs, [operator.Outputs(k) for k in range(operator.OutputsLength())]


def _num_needed(operation):
    """Returns how many operands, of the first ones, may not be left out; recurrent layers may have fewer gates."""
    if operation == "CONCATENATION":
        return None
    if operation in ("WHILE", "CALL", "CALL_ONCE"):
        return 0
    return 1 if operation.endswith(("LSTM", "RNN")) else 2


def _names(enumeration):
    return {value: name for name, value in vars(enumeration).items() if not name.startswith("_")}
