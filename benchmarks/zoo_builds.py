"""Networks that nobody here wrote, in small: the backbones of keras-hub, one network of each family of kimm."""

import inspect

TEXT = {
    "vocabulary_size": 64,
    "vocab_size": 64,
    "num_layers": 2,
    "num_layers_enc": 2,
    "num_layers_dec": 2,
    "encoder_num_layers": 2,
    "decoder_num_layers": 2,
    "num_heads": 2,
    "encoder_num_heads": 2,
    "decoder_num_heads": 2,
    "num_attention_heads": 4,
    "num_query_heads": 4,
    "num_key_value_heads": 2,
    "hidden_dim": 16,
    "hidden_size": 16,
    "embedding_dim": 16,
    "filter_dim": 16,
    "intermediate_dim": 32,
    "mlp_dim": 32,
    "moe_intermediate_dim": 16,
    "shared_expert_intermediate_dim": 16,
    "shared_expert_intermediate_size": 16,
    "num_experts": 4,
    "top_k": 2,
    "head_dim": 8,
    "head_size": 8,
    "attention_bias": True,
    "attention_dropout": 0.0,
    "mlp_bias": False,
    "layer_norm_epsilon": 1e-5,
    "max_position_embeddings": 64,
    "max_sequence_length": 64,
    "rope_theta": 1e4,
    "partial_rotary_factor": 1.0,
    "rope_layer_enabled_list": [True, True],
    "layer_types": ["full_attention"] * 2,
    "num_frames": 2,
    "num_spatial_layers": 1,
    "num_temporal_layers": 1,
    "num_auxiliary_layers": 1,
    "patch_size": 4,
    "window_size": 4,
    "image_shape": (32, 32, 3),
    "image_size": 16,
    "gate_lora": 8,
    "mv_lora": 8,
    "aaa_lora": 8,
    "decay_lora": 8,
    "linear_num_key_heads": 2,
    "linear_num_value_heads": 2,
    "linear_key_head_dim": 8,
    "linear_value_head_dim": 8,
}
"""What an argument of this name is given; those with defaults only if they say how large a network is."""

SIZES = ("image_shape", "max_sequence_length", *(name for name in TEXT if name.endswith("lora") or "linear_" in name))

IMAGES = {
    "DenseNetBackbone": {"stackwise_num_repeats": [2, 2, 2]},
    "VGGBackbone": {"stackwise_num_repeats": [2, 2, 2], "stackwise_num_filters": [16, 32, 32]},
    "XceptionBackbone": {
        "stackwise_conv_filters": [[16, 16], [32, 32, 32]],
        "stackwise_pooling": [True, False],
        "image_shape": (64, 64, 3),
    },
    "HGNetV2Backbone": {
        "depths": [1, 2],
        "embedding_size": 16,
        "hidden_sizes": [32, 64],
        "stem_channels": [3, 8, 16],
        "hidden_act": "relu",
        "use_learnable_affine_block": False,
        "stackwise_stage_filters": [[16, 8, 32, 1, 2, 3], [32, 16, 64, 1, 2, 3]],
        "apply_downsample": [False, True],
        "use_lightweight_conv_block": [False, True],
        "image_shape": (64, 64, 3),
    },
    "MiTBackbone": {
        "layerwise_depths": [1, 1],
        "layerwise_num_heads": [1, 2],
        "layerwise_sr_ratios": [2, 1],
        "max_drop_path_rate": 0.1,
        "layerwise_patch_sizes": [7, 3],
        "layerwise_strides": [4, 2],
        "hidden_dims": [16, 32],
    },
    "CSPNetBackbone": {
        "stem_filters": 16,
        "stem_kernel_size": 3,
        "stem_strides": 1,
        "stackwise_depth": [1, 2],
        "stackwise_strides": [2, 2],
        "stackwise_num_filters": [32, 32],
        "block_type": "dark_block",
        "stage_type": "csp",
        "image_shape": (64, 64, 3),
    },
    "EfficientNetBackbone": {
        "stackwise_width_coefficients": [1.0] * 2,
        "stackwise_depth_coefficients": [1.0] * 2,
        "stackwise_kernel_sizes": [3, 5],
        "stackwise_num_repeats": [1, 2],
        "stackwise_input_filters": [16, 16],
        "stackwise_output_filters": [16, 24],
        "stackwise_expansion_ratios": [1, 4],
        "stackwise_squeeze_and_excite_ratios": [0.25, 0.25],
        "stackwise_strides": [1, 2],
        "stackwise_block_types": ["v1", "unfused"],
        "stackwise_force_input_filters": [0, 0],
        "stackwise_nores_option": [False, False],
        "image_shape": (64, 64, 3),
    },
    "MobileNetBackbone": {
        "stackwise_expansion": [[40, 56], [64, 144, 144]],
        "stackwise_num_blocks": [2, 3],
        "stackwise_num_filters": [[16, 16], [24, 24, 24]],
        "stackwise_kernel_size": [[3, 3], [5, 5, 5]],
        "stackwise_num_strides": [[2, 1], [2, 1, 1]],
        "stackwise_se_ratio": [[None, None], [0.25] * 3],
        "stackwise_activation": [["relu", "relu"], ["hard_swish"] * 3],
        "stackwise_padding": [[1, 1], [2, 2, 2]],
        "output_num_filters": 32,
        "depthwise_filters": 16,
        "depthwise_stride": 2,
        "depthwise_residual": False,
        "last_layer_filter": 64,
        "squeeze_and_excite": 0.5,
        "image_shape": (64, 64, 3),
    },
    "SwinTransformerBackbone": {"embed_dim": 16, "depths": [1, 1], "num_heads": [2, 2]},
    "ViTDetBackbone": {"global_attention_layer_indices": [1], "num_output_channels": 16, "window_size": 4},
}

KIMM = [
    "ConvMixer736D32",
    "ConvNeXtAtto",
    "DenseNet121",
    "EfficientNetB0",
    "EfficientNetLiteB0",
    "EfficientNetV2B0",
    "GhostNet100",
    "GhostNetV2W100",
    "HGNetTiny",
    "HGNetV2B0",
    "InceptionNeXtTiny",
    "InceptionV3",
    "LCNet035",
    "MobileNetV2W050",
    "MobileNetV3W050Small",
    "MobileOneS0",
    "MobileViTXXS",
    "MobileViTV2W050",
    "RegNetX002",
    "RegNetY002",
    "RepVGGA0",
    "ResNet18",
    "TinyNetE",
    "VGG11",
    "VisionTransformerTiny16",
    "Xception",
]


def _residual(block_type, size=64, **changes):
    from keras_hub.models import ResNetBackbone

    options = {
        "input_conv_filters": [64] if block_type != "basic_block_vd" else [32, 32, 64],
        "input_conv_kernel_sizes": [7] if block_type != "basic_block_vd" else [3, 3, 3],
        "stackwise_num_filters": [64, 64, 64, 64],
        "stackwise_num_blocks": [1, 1, 1, 1],
        "stackwise_num_strides": [1, 2, 2, 2],
        "block_type": block_type,
        "image_shape": (size, size, 3),
    }
    return ResNetBackbone(**options, **changes)


def _deep_lab():
    from keras_hub.models import DeepLabV3Backbone

    return DeepLabV3Backbone(
        image_encoder=_residual("bottleneck_block"),
        low_level_feature_key="P2",
        spatial_pyramid_pooling_key="P4",
        dilation_rates=[6, 12, 18],
        upsampling_size=4,
        image_shape=(64, 64, 3),
    )


def _retina_net():
    from keras_hub.models import RetinaNetBackbone

    encoder = _residual("basic_block", 128)
    return RetinaNetBackbone(image_encoder=encoder, min_level=3, max_level=5, use_p5=False, image_shape=(128, 128, 3))


def _seg_former():
    from keras_hub.models import SegFormerBackbone

    return SegFormerBackbone(image_encoder=_by_name("MiTBackbone"), projection_filters=16)


COMPOSED = {
    "DeepLabV3Backbone": _deep_lab,
    "RetinaNetBackbone": _retina_net,
    "SegFormerBackbone": _seg_former,
    "ResNetBackbone": lambda: _residual("basic_block"),
    "ResNetBackbone, bottleneck": lambda: _residual("bottleneck_block"),
    "ResNetBackbone, pre-activation": lambda: _residual("basic_block", use_pre_activation=True),
    "ResNetBackbone, vd": lambda: _residual("basic_block_vd"),
}


def _by_name(name):
    """Builds a backbone, with small numbers for arguments that have no default."""
    import keras_hub

    cls = getattr(keras_hub.models, name)
    parameters = inspect.signature(cls.__init__).parameters.values()
    wanted = {each.name for each in parameters if each.default is each.empty or each.name in SIZES}
    own = IMAGES.get(name, {})
    return cls(**{key: value for key, value in TEXT.items() if key in wanted} | own)


def keras_hub_models():
    """Returns functions that build a network, by name."""
    import keras_hub

    names = [name for name in dir(keras_hub.models) if name.endswith("Backbone")]
    names = [name for name in names if name not in ("Backbone", "FeaturePyramidBackbone")]
    plain = {name: lambda name=name: _by_name(name) for name in names}
    return dict(sorted({**plain, **COMPOSED}.items()))


def kimm_models():
    """Returns functions that build a network, by name."""
    import kimm

    def build(name):
        size = 224 if name.startswith("VGG") else 96
        return lambda: getattr(kimm.models, name)(weights=None, input_shape=(size, size, 3))

    return {name: build(name) for name in KIMM if hasattr(kimm.models, name)}
