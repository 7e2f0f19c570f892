"""What is coupled: which units of a model can be removed, and what has to go with each.

`analyse` visits every call of a model, asks the rule of its type which axes of which weights run along which channels,
and resolves the answers to a `ChannelGraph`. A type without a rule keeps the channels it touches whole; add a rule
with `register_rule`.
"""

from keras_slim.graph.analysis import analyse
from keras_slim.graph.call import LayerCall
from keras_slim.graph.channel_graph import ChannelGraph, Group, Resize, Site, Slot, Whole
from keras_slim.graph.channels import Channels
from keras_slim.graph.registry import register_rule, registered_rules
from keras_slim.graph.rules.elementwise import elementwise

__all__ = [
    "ChannelGraph",
    "Channels",
    "Group",
    "LayerCall",
    "Resize",
    "Site",
    "Slot",
    "Whole",
    "analyse",
    "elementwise",
    "register_rule",
    "registered_rules",
]
