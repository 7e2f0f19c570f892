"""All models of the zoo."""

import importlib
import importlib.util

KINDS = ["adder", "layers", "operations", "quantized", "sequences"]
NAMES = ["model_zoo", *(f"model_zoo_{kind}" for kind in KINDS)]
MODULES = [importlib.import_module(name) for name in NAMES if importlib.util.find_spec(name)]
BUILDERS = [builder for module in MODULES for builder in module.BUILDERS]
