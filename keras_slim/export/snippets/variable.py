"""An input or an output of a file as a variable of an app."""

import dataclasses
import re

import numpy as np

from keras_slim.export.file_tensor import FileTensor

RESERVED = {"as", "await", "break", "case", "class", "const", "continue", "default", "do", "else", "enum", "export"}
RESERVED |= {"false", "for", "fun", "func", "function", "if", "import", "in", "init", "interface", "internal", "is"}
RESERVED |= {"let", "new", "null", "object", "operator", "package", "private", "protocol", "public", "repeat", "return"}
RESERVED |= {"self", "static", "struct", "super", "switch", "this", "throw", "true", "try", "typealias", "typeof"}
RESERVED |= {"val", "var", "void", "when", "where", "while", "with", "yield"}
RESERVED |= {"arguments", "associatedtype", "catch", "debugger", "defer", "deinit", "delete", "eval", "extends"}
RESERVED |= {"extension", "fallthrough", "fileprivate", "finally", "guard", "implements", "inout", "instanceof", "nil"}
RESERVED |= {"precedencegroup", "rethrows", "subscript", "throws"}
RESERVED |= {"context", "inputs", "interpreter", "it", "model", "outputs", "path"}
"""Words of the three languages, and names that their code uses."""


@dataclasses.dataclass(frozen=True)
class Variable:
    """A tensor of a file, and its name in the code of an app.

    Args:
        name: Name of the variable.
        tensor: The `FileTensor`.
        place: Its place among the inputs, or the outputs, of the file.
    """

    name: str
    tensor: FileTensor
    place: int

    @property
    def is_quantized(self):
        """Whether the file stores integers that stand for real numbers."""
        return self.tensor.scale is not None

    @property
    def scale(self):
        """The scale as a number in code."""
        return f"{self.tensor.scale:.9g}"

    @property
    def limits(self):
        """The smallest and the largest integer that the file can store."""
        limits = np.iinfo(self.tensor.dtype)
        return limits.min, limits.max

    def shifted(self, sign):
        """Returns the zero point as what is added (1) or taken away (-1) in code; nothing if it is 0."""
        shift = sign * self.tensor.zero_point
        return f" {'+' if shift > 0 else '-'} {abs(shift)}" if shift else ""

    def describe(self, kind):
        """Returns a comment: what kind of list it is, how long, and of which shape."""
        shape = ", ".join("any" if size is None else str(size) for size in self.tensor.shape)
        count = f"{self.tensor.size} number{'s' if self.tensor.size > 1 else ''}"
        return f"// {self.name}: {kind} of {count}, the shape is ({shape})"


def variables(inputs, outputs):
    """Returns the variables of inputs and of outputs, each under a name of its own."""
    taken = set(RESERVED)
    return tuple(
        [Variable(_name(tensor.name, taken), tensor, place) for place, tensor in enumerate(tensors)]
        for tensors in (inputs, outputs)
    )


def _name(text, taken):
    """Returns a name in camel case that is not taken yet, and takes it."""
    first, *others = re.findall(r"[A-Za-z0-9]+", text) or ["tensor"]
    name = first[0].lower() + first[1:] + "".join(word[0].upper() + word[1:] for word in others)
    name = f"tensor{name}" if name[0].isdigit() else name
    while name in taken:
        name += "Values"
    taken.add(name)
    return name
