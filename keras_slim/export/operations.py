"""What a LiteRT file is made of: its operations, the type of its weights, and the parts XNNPACK runs.

This file goes beyond documented interfaces, where there is no other way; checked on ai-edge-litert 2.3.0: the generated
flatbuffer schema for what the file holds (loops included), the interpreter's list of nodes for what XNNPACK took over.
"""

import collections


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

    def weight_types(self):
        """Returns the types in which constants are stored, a set of names such as `"INT8"`."""
        names = _names(self._schema.TensorType)
        tensors = [subgraph.Tensors(k) for subgraph in self._subgraphs for k in range(subgraph.TensorsLength())]
        return {names[tensor.Type()] for tensor in tensors if not self._is_computed(tensor)}

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
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    contents = FileContents(content)
    left_out = {index for index, name in enumerate(contents.codes()) if name in names}
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(content, 0))
    for subgraph in model.subgraphs:
        subgraph.operators = [each for each in subgraph.operators or () if each.opcodeIndex not in left_out]
    builder = flatbuffers.Builder(len(content))
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def count_partitions(interpreter):
    """Returns the number of parts that XNNPACK runs; one is best, each further one costs a hand-over."""
    return sum(details["op_name"] == "DELEGATE" for details in interpreter._get_ops_details())


def _tensors_of(operator):
    """Returns the positions of the inputs and of the outputs of an operation."""
    inputs = [operator.Inputs(k) for k in range(operator.InputsLength())]
    return inputs, [operator.Outputs(k) for k in range(operator.OutputsLength())]


def _names(enumeration):
    return {value: name for name, value in vars(enumeration).items() if not name.startswith("_")}
