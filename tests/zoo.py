"""All models of the zoo."""

import importlib
import importlib.util

NAMES = ["model_zoo", "model_zoo_adder", "model_zoo_layers", "model_zoo_operations", "model_zoo_sequences"]
MODULES = [importlib.import_module(name) for name in NAMES if importlib.util.find_spec(name)]
BUILDERS = [builder for module in MODULES for builder in module.BUILDERS]
