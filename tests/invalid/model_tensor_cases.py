"""Model files refused for the tensors of their layers: missing, of a wrong type or shape, not finite."""
import numpy as np

from model_file import broken


for missing in ("c.weight", "c.bias", "c.threshold"):
    @broken("missing-" + missing.replace(".", "-"), "format", missing + ": this tensor is missing")
    def _(m, missing=missing):
        del m.tensors[missing]


for name, value in (("nan", np.nan), ("infinity", np.inf)):
    @broken("weight-" + name, "format", "not finite")
    def _(m, value=value):
        w = np.zeros((2, 2, 1, 2))
        w[1, 1, 0, 1] = value
        m.tensors["c.weight"] = m.f32(w)

    @broken("bias-" + name, "format", "not finite")
    def _(m, value=value):
        m.tensors["out.bias"] = m.f32([0, value, 0])

    @broken("threshold-" + name, "format", "finite and > 0")
    def _(m, value=value):
        m.tensors["c.threshold"] = m.f32([value])


@broken("weight-f16-infinity", "format", "not finite")
def _(m):
    m.tensors["out.weight"] = ["F16", [1, 1, 2, 3], np.array([0, 0, np.inf, 0, 0, 0], "<f2").tobytes()]


@broken("weight-bf16-nan", "format", "not finite")
def _(m):
    m.tensors["out.weight"] = ["BF16", [1, 1, 2, 3], b"\xc0\x7f" * 6]


@broken("weight-f64", "format", "its dtype is F64")
def _(m):
    m.tensors["c.weight"] = ["F64", [2, 2, 1, 2], b"\0" * 64]


@broken("weight-rank-two", "format", "its shape is not [2, 2, 1, outputs]")
def _(m):
    m.tensors["c.weight"][1] = [4, 2]


@broken("weight-no-outputs", "format", "0 outputs")
def _(m):
    m.tensors["c.weight"] = ["F32", [2, 2, 1, 0], b""]


@broken("weight-i8-without-scale", "format", "out.weight.scale: this tensor is missing")
def _(m):
    m.tensors["out.weight"] = ["I8", [1, 1, 2, 3], b"\1" * 6]


@broken("weight-i8-scale-too-short", "format", "out.weight.scale: it has 1 elements")
def _(m):
    m.tensors["out.weight.scale"] = m.f32([1])
    m.tensors["out.weight"] = ["I8", [1, 1, 2, 3], b"\1" * 6]


for name, value in (("nan", np.nan), ("zero", 0)):
    @broken("weight-i8-scale-" + name, "format", "a scale must be finite and > 0")
    def _(m, value=value):
        m.tensors["out.weight.scale"] = m.f32([1, 1, value])
        m.tensors["out.weight"] = ["I8", [1, 1, 2, 3], b"\1" * 6]


@broken("weight-i8-scale-overflows", "format", "not finite")
def _(m):
    m.tensors["out.weight.scale"] = m.f32([1, 1, 3e38])
    m.tensors["out.weight"] = ["I8", [1, 1, 2, 3], b"\x7f" * 6]


@broken("weight-i8-minus-128", "format", "an I8 weight is -128")
def _(m):
    m.tensors["out.weight.scale"] = m.f32([1, 1, 1])
    m.tensors["out.weight"] = ["I8", [1, 1, 2, 3], b"\x80" * 6]


@broken("bias-f16", "format", "its dtype is F16; it must be F32")
def _(m):
    m.tensors["out.bias"] = ["F16", [3], b"\0" * 6]


@broken("bias-too-short", "format", "out.bias: it has 2 elements")
def _(m):
    m.tensors["out.bias"] = m.f32([0, 1])


@broken("bias-rank-two", "format", "its layer needs [3]")
def _(m):
    m.tensors["out.bias"][1] = [3, 1]


@broken("threshold-zero", "format", "finite and > 0")
def _(m):
    m.tensors["c.threshold"] = m.f32([0])


@broken("threshold-count", "format", "3 thresholds for 2 channels")
def _(m):
    m.tensors["c.threshold"] = m.f32([1, 1, 1])


@broken("threshold-empty", "format", "its shape must be [1] or [channels]")
def _(m):
    m.tensors["c.threshold"] = ["F32", [0], b""]


@broken("threshold-scalar", "format", "its shape must be [1] or [channels]")
def _(m):
    m.tensors["c.threshold"][1] = []


@broken("fire-count", "format", "c.fire: it has 2 elements")
def _(m):
    m.tensors["c.fire"] = m.f32([1, 1])


@broken("amplitude-negative", "format", "finite and > 0")
def _(m):
    m.tensors["c.amplitude"] = m.f32([-1])


@broken("activation-max-nan", "format", "activation statistic is not finite")
def _(m):
    m.tensors["c.activation_max"] = m.f32([np.nan])
