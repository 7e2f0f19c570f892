"""Operations that compute each element of the output from the elements at its place."""

from keras_slim.graph.registry import register_rule
from keras_slim.graph.rules.operands import broadcast, operands

OF_ONE = """
    Abs Absolute Angle Arccos Arccosh Arcsin Arcsinh Arctan Arctanh Array BitwiseInvert BitwiseNot Cast Cbrt Ceil
    Celu Clip Conj Conjugate ConvertToTensor Copy Cos Cosh Deg2rad Elu EmptyLike Erf Erfc Erfinv Exp Exp2 Expm1 Fabs
    Floor Gelu HardShrink HardSigmoid HardSilu HardTanh I0 Imag Isfinite Isinf Isnan Isneginf Isposinf Isreal
    LeakyRelu Log Log10 Log1p Log2 LogSigmoid LogicalNot Mish NanToNum Negative OnesLike Rad2deg ReLU Real
    Reciprocal Relu Relu6 Round Rsqrt SaturateCast Selu Sigmoid Sign Signbit Silu Sin Sinc Sinh SoftShrink Softplus
    Softsign SparsePlus SparseSigmoid Sqrt Square Squareplus StopGradient Tan Tanh TanhShrink Threshold Trunc
    ZerosLike
"""
OF_SEVERAL = """
    Add Arctan2 BitwiseAnd BitwiseLeftShift BitwiseOr BitwiseRightShift BitwiseXor Divide DivideNoNan Equal FloorDivide
    Fmax Fmin Fmod FullLike Gcd Greater GreaterEqual Heaviside Hypot Isclose Lcm Ldexp LeftShift Less LessEqual
    Logaddexp Logaddexp2 LogicalAnd LogicalOr LogicalXor Maximum Minimum Mod Multiply Nextafter NotEqual Polar Power
    RightShift Select Subtract TrueDivide Where
"""


@register_rule(*(f"ops.{name}" for name in (OF_ONE + OF_SEVERAL).split()))
def elementwise_operation(call):
    """Units that meet at one position go together, and a constant that runs along them is cut with them."""
    return broadcast(call, operands(call))
