"""Networks of the papers, with the counts of parameters and multiply-accumulates that the papers' lists give.

What `keras.applications` does not have, in its manner. All take `include_top`, `weights` (`None`, or the path of a
file: none come with keras_slim and none are fetched), `input_shape`, `pooling`, `classes`, `classifier_activation` and
`name`, and build a functional model of Keras's layers, with channels where `keras.config.image_data_format()` says.

For handwritten digits: `LeNet300100`, `LeNet5`. For small images: `ConvTwo`, `ConvFour`, `ConvSix`, `VGGSmall`,
`CIFARResNet`. For ImageNet: `AlexNet`, `GoogLeNet`, `SqueezeNet`, `ShuffleNet`, `ShuffleNetV2`, `EfficientNetLite0`.
Their blocks are functions of a symbolic tensor, to build others with: `fire`, `inception`, `inverted_residual`,
`residual`, `shuffle_channels`, `shuffle_unit`, `shuffle_unit_v2`.
"""

from keras_slim.models.alexnet import AlexNet
from keras_slim.models.cifar_resnet import CIFARResNet, residual
from keras_slim.models.conv_nets import ConvFour, ConvSix, ConvTwo
from keras_slim.models.efficientnet_lite0 import EfficientNetLite0, inverted_residual
from keras_slim.models.googlenet import GoogLeNet, inception
from keras_slim.models.lenet import LeNet5, LeNet300100
from keras_slim.models.shufflenet import ShuffleNet, shuffle_channels, shuffle_unit
from keras_slim.models.shufflenet_v2 import ShuffleNetV2, shuffle_unit_v2
from keras_slim.models.squeezenet import SqueezeNet, fire
from keras_slim.models.vgg_small import VGGSmall

__all__ = [
    "AlexNet",
    "CIFARResNet",
    "ConvFour",
    "ConvSix",
    "ConvTwo",
    "EfficientNetLite0",
    "GoogLeNet",
    "LeNet5",
    "LeNet300100",
    "ShuffleNet",
    "ShuffleNetV2",
    "SqueezeNet",
    "VGGSmall",
    "fire",
    "inception",
    "inverted_residual",
    "residual",
    "shuffle_channels",
    "shuffle_unit",
    "shuffle_unit_v2",
]
