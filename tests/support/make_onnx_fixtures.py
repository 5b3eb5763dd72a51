#!/usr/bin/python3
"""Write small ONNX models for the importer's tests: make_onnx_fixtures.py FOLDER

FOLDER/accepted/<case>/{model.onnx,input.f32,scores.f32}: every supported operator in its old and new forms, one picture
([C,H,W] float32, little-endian) and the scores torch gives for it, node by node. FOLDER/quantised/<case>/: the same for networks whose activations are quantised.
FOLDER/refused/<case>/{model.onnx,
expected.txt}: models that must be refused; expected.txt holds the status name on its first line and, on its second, a
piece of "<where>: <text>". Deterministic: the same bytes at every run. Says nothing about thresholds or accuracy.
"""
import pathlib
import sys

import numpy as np
import onnx
from onnx import TensorProto as T
from onnx import helper, numpy_helper

from onnx_float import run

RNG = np.random.RandomState(7)


def weights(*shape):
    return (RNG.rand(*shape).astype(np.float32) - 0.4) / 2


def node(op, inputs, outputs="y", name="", **attributes):
    return helper.make_node(op, inputs.split(), outputs.split(), name=name, **attributes)


def ints(*values):
    return np.array(values, np.int64)


def real(value):
    return np.array(value, np.float32)


def model(nodes, tensors, shape, opset=13, batch="N", outputs=("y",), extra_inputs=(), ir=7):
    """A model from nodes and named arrays (or ready TensorProtos); the input is x, [batch] + shape."""
    inits = [t if isinstance(t, onnx.TensorProto) else numpy_helper.from_array(t, n) for n, t in tensors.items()]
    ports = [helper.make_tensor_value_info("x", T.FLOAT, [batch, *shape]), *extra_inputs]
    ends = [helper.make_tensor_value_info(n, T.FLOAT, None) for n in outputs]
    graph = helper.make_graph(nodes, "g", ports, ends, inits)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], producer_name="fixtures")
    made.ir_version = ir
    return made


def head(source, channels, rows, columns, classes=3):
    """Flatten + Gemm, so that a case ends in scores."""
    nodes = [node("Flatten", source, "flat"), node("Gemm", "flat fc.weight fc.bias", "y", "/fc/Gemm", transB=1)]
    return nodes, {"fc.weight": weights(classes, channels * rows * columns), "fc.bias": weights(classes)}


def with_head(nodes, tensors, shape, out, source="h", **more):
    tail, extra = head(source, *out)
    return model(nodes + tail, {**tensors, **extra}, shape, **more)


# ---- accepted ----


def convolutions():
    conv = lambda inputs="x conv.weight conv.bias", **a: [node("Conv", inputs, "c", "/conv/Conv", **a),
                                                         node("Relu", "c", "h")]
    plain = {"conv.weight": weights(4, 3, 3, 3), "conv.bias": weights(4)}
    yield "conv", with_head(conv(kernel_shape=[3, 3]), plain, (3, 6, 7), (4, 4, 5))
    yield "conv-no-kernel-shape", with_head(conv(), plain, (3, 6, 7), (4, 4, 5))
    yield "conv-no-bias", with_head(conv("x conv.weight"), {"conv.weight": plain["conv.weight"]}, (3, 6, 7), (4, 4, 5))
    yield "conv-pads-uneven", with_head(conv(pads=[1, 0, 2, 3]), plain, (3, 6, 7), (4, 7, 8))
    yield "conv-strides", with_head(conv(strides=[2, 3]), plain, (3, 6, 7), (4, 2, 2))
    yield "conv-dilations", with_head(conv(dilations=[2, 1], pads=[1, 1, 1, 1]), plain, (3, 6, 7), (4, 4, 7))
    for mode in ("SAME_UPPER", "SAME_LOWER"):
        yield "conv-" + mode.lower().replace("_", "-"), with_head(conv(auto_pad=mode, strides=[2, 2]), plain, (3, 6, 7),
                                                                  (4, 3, 4))
    yield "conv-valid", with_head(conv(auto_pad="VALID"), plain, (3, 6, 7), (4, 4, 5))
    grouped = {"conv.weight": weights(6, 2, 3, 2), "conv.bias": weights(6)}
    yield "conv-groups", with_head(conv(group=2), grouped, (4, 5, 5), (6, 3, 4))
    depth = {"conv.weight": weights(4, 1, 3, 3), "conv.bias": weights(4)}
    yield "conv-depthwise", with_head(conv(group=4), depth, (4, 5, 5), (4, 3, 3))
    yield "conv-float16", with_head(conv(), {"conv.weight": plain["conv.weight"].astype(np.float16),
                                             "conv.bias": plain["conv.bias"].astype(np.float64)}, (3, 6, 7), (4, 4, 5))
    typed = helper.make_tensor("conv.weight", T.FLOAT, [4, 3, 3, 3], plain["conv.weight"].ravel())
    yield "conv-typed-data", with_head(conv(), {"conv.weight": typed, "conv.bias": plain["conv.bias"]}, (3, 6, 7),
                                       (4, 4, 5))
    yield "conv-weights-constant-node", with_head(
        [node("Constant", "", "conv.weight", value=numpy_helper.from_array(plain["conv.weight"]))] + conv(),
        {"conv.bias": plain["conv.bias"]}, (3, 6, 7), (4, 4, 5))
    norm = {"bn.weight": weights(3) + 1, "bn.bias": weights(3), "m": weights(3), "v": RNG.rand(3).astype(np.float32)}
    for opset in (7, 9, 14):
        yield f"batch-norm-{opset}", with_head(
            [node("BatchNormalization", "x bn.weight bn.bias m v", "h", epsilon=1e-3)], norm, (3, 4, 4), (3, 4, 4),
            opset=opset)


def activations():
    for opset, high in ((7, 6.0), (10, 0.5)):
        yield f"clip-attributes-{opset}", with_head([node("Clip", "x", "h", min=0.0, max=high)], {}, (2, 3, 3),
                                                    (2, 3, 3), opset=opset)
    yield "clip-inputs", with_head([node("Clip", "x low high", "h")], {"low": real(0), "high": real(0.5)}, (2, 3, 3),
                                   (2, 3, 3))
    yield "clip-no-max", with_head([node("Clip", "x low", "h")], {"low": real(0)}, (2, 3, 3), (2, 3, 3))
    yield "relu-of-clip", with_head([node("Clip", "x low high", "c"), node("Relu", "c", "h")],
                                    {"low": real(0), "high": real(0.5)}, (2, 3, 3), (2, 3, 3))
    yield "clip-of-relu", with_head([node("Relu", "x", "c"), node("Clip", "c low high", "h")],
                                    {"low": real(0), "high": real(0.5)}, (2, 3, 3), (2, 3, 3))
    yield "clip-of-shared-relu", with_head(
        [node("Relu", "x", "c"), node("Clip", "c low high", "d"), node("Add", "c d", "h")],
        {"low": real(0), "high": real(0.5)}, (2, 3, 3), (2, 3, 3))
    relu_flat = [node("Flatten", "x", "f"), node("Relu", "f", "r"), node("Dropout", "r", "h")]
    yield "relu-on-flattened", with_head(relu_flat, {}, (2, 3, 3), (2, 3, 3), opset=11)
    yield "dropout-ratio-input", with_head([node("Dropout", "x ratio off", "h")],
                                           {"ratio": real(0.5), "off": np.array(False)}, (2, 3, 3), (2, 3, 3))
    yield "identity-cast", with_head([node("Identity", "x", "i"), node("Cast", "i", "h", to=T.FLOAT)], {}, (2, 3, 3),
                                     (2, 3, 3))
    for op, opset, more in (("Softmax", 11, {}), ("Softmax", 13, {}), ("LogSoftmax", 13, {"axis": 1})):
        nodes, tensors = head("x", 2, 3, 3)
        nodes[-1].output[0] = "scores"
        yield f"{op.lower()}-{opset}", model(nodes + [node(op, "scores", "y", **more)], tensors, (2, 3, 3), opset=opset)


def pools():
    pool = lambda op, out, shape=(2, 6, 6), opset=13, extra=None, inputs="x", **a: with_head(
        [node(op, inputs, "h", **a)], extra or {}, shape, out, opset=opset)
    yield "average-pool", pool("AveragePool", (2, 3, 3), kernel_shape=[2, 2], strides=[2, 2])
    for include in (0, 1):
        yield f"average-pool-pads-{include}", pool("AveragePool", (2, 4, 4), kernel_shape=[2, 2], strides=[2, 2],
                                                   pads=[1, 1, 1, 1], count_include_pad=include)
    yield "average-pool-ceil", pool("AveragePool", (2, 3, 3), kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1)
    yield "average-pool-same", pool("AveragePool", (2, 3, 3), shape=(2, 5, 5), kernel_shape=[2, 2], strides=[2, 2],
                                    auto_pad="SAME_UPPER")
    yield "max-pool", pool("MaxPool", (2, 2, 2), kernel_shape=[3, 3], strides=[2, 2])
    yield "max-pool-pads-dilations", pool("MaxPool", (2, 4, 4), kernel_shape=[3, 3], dilations=[2, 2], pads=[1, 1, 1, 1])
    yield "average-pool-beyond", pool("AveragePool", (2, 3, 3), shape=(2, 5, 5), kernel_shape=[2, 2], strides=[2, 2],
                                      ceil_mode=1)
    yield "average-pool-beyond-pads", pool("AveragePool", (2, 3, 3), kernel_shape=[3, 3], strides=[3, 3],
                                           pads=[1, 1, 1, 1], ceil_mode=1)
    yield "max-pool-beyond", pool("MaxPool", (2, 3, 3), kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1)
    c = {"k": weights(4, 2, 3, 3), "kb": weights(4)}
    spikes = [node("Conv", "x k kb", "c", pads=[1, 1, 1, 1]), node("Relu", "c", "r")]
    yield "max-pool-after-relu", with_head(spikes + [node("MaxPool", "r", "h", kernel_shape=[2, 2], strides=[2, 2])], c,
                                           (2, 6, 6), (4, 3, 3))
    yield "max-pool-of-shared-relu", with_head(  # pools the cumulated spikes
        spikes + [node("MaxPool", "r", "m", kernel_shape=[3, 3], pads=[1, 1, 1, 1]), node("Add", "m r", "h")], c,
        (2, 6, 6), (4, 6, 6))
    yield "global-average-pool", pool("GlobalAveragePool", (2, 1, 1))
    yield "global-max-pool", pool("GlobalMaxPool", (2, 1, 1))
    yield "reduce-mean", pool("ReduceMean", (2, 1, 1), axes=[2, 3])
    yield "reduce-mean-flat", pool("ReduceMean", (2, 1, 1), axes=[-1, -2], keepdims=0)
    yield "reduce-mean-of-rows-and-columns-as-one", with_head(
        [node("Reshape", "x to", "r"), node("ReduceMean", "r", "m", axes=[2], keepdims=0),
         node("Unsqueeze", "m a23", "h")], {"to": ints(0, 2, 36), "a23": ints(2, 3)}, (2, 6, 6), (2, 1, 1))
    yield "reduce-mean-18", pool("ReduceMean", (2, 1, 1), opset=18, inputs="x axes", extra={"axes": ints(2, 3)},
                                 keepdims=0)


def shapes():
    fc = {"fc.weight": weights(18, 3), "fc.bias": weights(3)}
    dense = [node("MatMul", "flat fc.weight", "m"), node("Add", "m fc.bias", "y")]
    case = lambda nodes, tensors, **more: model(nodes + dense, {**fc, **tensors}, (2, 3, 3), **more)
    yield "matmul-add", case([node("Flatten", "x", "flat")], {})
    yield "matmul-add-reversed", model([node("Flatten", "x", "flat"), dense[0], node("Add", "fc.bias m", "y")], fc,
                                       (2, 3, 3))
    for name, target, batch in (("0-infer", (0, -1), "N"), ("infer", (-1, 18), "N"), ("one", (1, 18), 1),
                                ("batch", (5, 18), 5)):
        yield f"reshape-{name}", case([node("Reshape", "x to", "flat")], {"to": ints(*target)}, batch=batch)
    yield "reshape-and-back", case([node("Reshape", "x a", "s"), node("Relu", "s", "r"), node("Reshape", "r b", "t"),
                                    node("GlobalAveragePool", "t", "u"), node("Flatten", "u", "v"),
                                    node("Gemm", "v up", "flat")],
                                   {"a": ints(0, 2, 9), "b": ints(0, 2, 3, 3), "up": weights(2, 18)})
    for opset, axes in ((12, False), (13, True)):
        grow = node("Unsqueeze", "g axes0", "u") if axes else node("Unsqueeze", "g", "u", axes=[0])
        yield f"view-by-shape-{opset}", case(
            [node("Shape", "x", "s"), node("Constant", "", "i", value=numpy_helper.from_array(np.array(0, np.int64))),
             node("Gather", "s i", "g", axis=0), grow, node("Concat", "u rest", "to", axis=0),
             node("Reshape", "x to", "flat")], {"rest": ints(-1), **({"axes0": ints(0)} if axes else {})}, opset=opset)
    yield "view-by-product", case(
        [node("Shape", "x", "s"), node("Slice", "s one four", "chw"), node("Gather", "chw i0", "c"),
         node("Gather", "chw i12", "hw"), node("Gather", "hw i0", "h"), node("Gather", "hw i1", "w"),
         node("Mul", "c h", "ch"), node("Mul", "ch w", "n"), node("Unsqueeze", "n i0v", "nv"),
         node("Concat", "rest nv", "to", axis=0), node("Reshape", "x to", "flat")],
        {"one": ints(1), "four": ints(4), "i0": np.array(0, np.int64), "i1": np.array(1, np.int64), "i12": ints(1, 2),
         "i0v": ints(0), "rest": ints(-1)})
    yield "transposed-weight", model([node("Flatten", "x", "flat"), node("Transpose", "w", "t", perm=[1, 0]),
                                      node("MatMul", "flat t", "y")], {"w": weights(3, 18)}, (2, 3, 3))
    small = {"w": weights(2, 3), "b": weights(1, 3)}
    for opset in (11, 13):
        squeeze = node("Squeeze", "g a23", "s") if opset == 13 else node("Squeeze", "g", "s", axes=[2, 3])
        grow = node("Unsqueeze", "s a23", "u") if opset == 13 else node("Unsqueeze", "s", "u", axes=[2, 3])
        yield f"squeeze-unsqueeze-{opset}", model(
            [node("GlobalAveragePool", "x", "g"), squeeze, grow, node("Conv", "u k", "c"), node("Flatten", "c", "f"),
             node("Gemm", "f w b", "y", alpha=0.5, beta=2.0)],
            {**small, "k": weights(2, 2, 1, 1), **({"a23": ints(2, 3)} if opset == 13 else {})}, (2, 3, 3), opset=opset)
    yield "rank-2-input", model([node("Gemm", "x w", "h"), node("Relu", "h", "r"), node("Gemm", "r v s", "y")],
                                {"w": weights(5, 4), "v": weights(4, 3), "s": real(0.25)}, (5,))


def pads():
    conv = {"k": weights(3, 2, 3, 3)}
    tail = [node("Conv", "p k", "h")]
    yield "pad-attributes", with_head([node("Pad", "x", "p", pads=[0, 0, 1, 2, 0, 0, 0, 1])] + tail, conv, (2, 4, 4),
                                      (3, 3, 5), opset=10)
    for opset, inputs in ((11, "x pads"), (13, "x pads zero")):
        yield f"pad-inputs-{opset}", with_head(
            [node("Pad", inputs, "p")] + tail, {**conv, "pads": ints(0, 0, 1, 2, 0, 0, 0, 1), "zero": real(0)},
            (2, 4, 4), (3, 3, 5), opset=opset)
    yield "pad-axes-18", with_head([node("Pad", "x pads  axes".replace("  ", " zero "), "p")] + tail,
                                   {**conv, "pads": ints(1, 2, 0, 1), "zero": real(0), "axes": ints(2, -1)}, (2, 4, 4),
                                   (3, 3, 5), opset=18)
    yield "pad-zeros", with_head([node("Pad", "x pads", "h", mode="reflect")], {"pads": ints(*[0] * 8)}, (2, 4, 4),
                                 (2, 4, 4))
    yield "pad-average", with_head(
        [node("Pad", "x pads", "p"), node("AveragePool", "p", "h", kernel_shape=[2, 2], strides=[2, 2])],
        {"pads": ints(0, 0, 1, 0, 0, 0, 1, 0)}, (2, 4, 4), (2, 3, 2))
    yield "pad-twice-and-own", with_head(
        [node("Pad", "x pads", "q"), node("Identity", "q", "q2"), node("Pad", "q2 pads", "p"),
         node("Conv", "p k", "h", pads=[0, 1, 0, 0])],
        {**conv, "pads": ints(0, 0, 1, 0, 0, 0, 0, 0)}, (2, 4, 4), (3, 4, 3))
    around = {"pads": ints(0, 0, 1, 1, 0, 0, 1, 2)}
    yield "pad-then-relu", with_head([node("Pad", "x pads", "p"), node("Relu", "p", "h")], around, (2, 4, 4), (2, 6, 7))
    yield "pad-then-max", with_head(  # of values below 0 too, where the zeros count
        [node("Sub", "x one", "n"), node("Pad", "n pads", "p"), node("MaxPool", "p", "h", kernel_shape=[3, 3])],
        {**around, "one": real(1)}, (2, 4, 4), (2, 4, 5))
    yield "pad-then-max-after-relu", with_head(
        [node("Relu", "x", "r"), node("Pad", "r pads", "p"), node("MaxPool", "p", "h", kernel_shape=[3, 3])], around,
        (2, 4, 4), (2, 4, 5))
    yield "pad-read-twice", with_head(
        [node("Pad", "x pads", "p"), node("Relu", "p", "r"), node("Conv", "p k", "c", pads=[1, 1, 1, 1]),
         node("Conv", "r k", "d", pads=[1, 1, 1, 1]), node("Add", "c d", "h")], {**conv, **around}, (2, 4, 4), (3, 6, 7))
    yield "pad-negative", with_head([node("Pad", "x pads", "p"), node("Relu", "p", "h")],
                                    {"pads": ints(0, 0, -1, 2, 0, 0, 1, -2)}, (2, 4, 4), (2, 4, 4))
    yield "pad-flattened", with_head([node("Pad", "x pads", "h")], around, (2, 4, 4), (2, 6, 7))
    yield "pad-computed", with_head(  # what exporters write for a pad whose amounts were tensors
        [node("ConstantOfShape", "four", "z", value=helper.make_tensor("", T.INT64, [1], [0])),
         node("Concat", "given z", "all", axis=0), node("Reshape", "all pairs", "r"),
         node("Slice", "r m1 low i0 m1", "s"), node("Transpose", "s", "t", perm=[1, 0]),
         node("Reshape", "t flat1", "f"), node("Cast", "f", "pads", to=T.INT64), node("Pad", "x pads", "p")] + tail,
        {**conv, "four": ints(4), "given": ints(2, 1, 1, 0), "pairs": ints(-1, 2), "m1": ints(-1),
         "low": ints(-2**63 + 1), "i0": ints(0), "flat1": ints(-1)}, (2, 4, 4), (3, 3, 5))


def joins():
    k = {"k": weights(3, 2, 3, 3), "kb": weights(3), "l": weights(4, 2, 1, 1)}
    two = [node("Conv", "x k kb", "a", pads=[1, 1, 1, 1]), node("Conv", "x l", "b")]
    both = two + [node("Relu", "a", "ar"), node("Relu", "b", "br")]
    for opset in (9, 13, 20):
        yield f"concat-{opset}", with_head(both + [node("Concat", "ar br", "h", axis=1)], k, (2, 4, 4), (7, 4, 4),
                                           opset=opset)
    yield "concat-axis-from-the-end", with_head(both + [node("Concat", "br ar", "h", axis=-3)], k, (2, 4, 4), (7, 4, 4))
    yield "concat-mixed", with_head(two + [node("Relu", "a", "ar"), node("Concat", "ar b x ar", "h", axis=1)], k,
                                    (2, 4, 4), (12, 4, 4))
    yield "concat-one", with_head([node("Concat", "x", "h", axis=1)], {}, (2, 4, 4), (2, 4, 4))
    yield "concat-flattened", model(  # joined features are joined channels, channels being outermost
        both + [node("Flatten", "ar", "af"), node("Flatten", "br", "bf"), node("Concat", "af bf", "f", axis=1),
                node("Gemm", "f w", "y")], {**k, "w": weights(7 * 16, 3)}, (2, 4, 4))
    yield "concat-vectors", model(
        [node("GlobalAveragePool", "x", "g"), node("Flatten", "g", "v"), node("Gemm", "v w", "a"), node("Relu", "a", "r"),
         node("Concat", "r v", "f", axis=-1), node("Gemm", "f u", "y")],
        {"w": weights(2, 5), "u": weights(7, 3)}, (2, 4, 4))
    yield "concat-then-max-pool", with_head(
        both + [node("Concat", "ar br", "c", axis=1), node("MaxPool", "c", "h", kernel_shape=[2, 2], strides=[2, 2])], k,
        (2, 4, 4), (7, 2, 2))
    yield "concat-after-pad", with_head(
        [node("Pad", "x pads", "p"), node("Concat", "p p", "h", axis=1)], {"pads": ints(0, 0, 1, 0, 0, 0, 0, 1)},
        (2, 4, 4), (4, 5, 5))
    # slices: old form with attributes, new form with inputs
    yield "slice-attributes", with_head([node("Slice", "x", "h", starts=[1, 0], ends=[3, 9], axes=[2, 3])], {}, (2, 4, 4),
                                        (2, 2, 4), opset=9)
    steps = {"s": ints(0), "e": ints(2**63 - 1), "two": ints(2), "rows": ints(2), "columns": ints(3)}
    for opset in (10, 13):  # x[:, :, ::2, ::2] as torch exports it
        yield f"slice-steps-{opset}", with_head(
            [node("Slice", "x s e rows two", "r"), node("Slice", "r s e columns two", "h")], steps, (2, 5, 4), (2, 3, 2),
            opset=opset)
    yield "slice-whole", with_head([node("Slice", "x s e", "h")], {"s": ints(0, 0), "e": ints(2**31 - 1, 9)}, (2, 4, 4),
                                   (2, 4, 4))
    yield "slice-from-the-end", with_head(
        [node("Slice", "x s e a t", "h")], {"s": ints(-3, -4), "e": ints(-1, 2**31 - 1), "a": ints(-3, -1),
                                            "t": ints(1, 3)}, (4, 4, 4), (2, 4, 2))
    yield "slice-features", model(
        [node("Gemm", "x w", "a"), node("Relu", "a", "r"), node("Slice", "r s e one", "h"), node("Gemm", "h u", "y")],
        {"w": weights(5, 6), "u": weights(3, 3), "s": ints(2), "e": ints(5), "one": ints(1)}, (5,))
    halves = both[1:2] + both[3:] + [None, node("Conv", "first m", "d"), node("Relu", "d", "dr"),
                                     node("Concat", "dr second", "h", axis=1)]
    m = {**k, "m": weights(2, 2, 1, 1)}
    for name, opset, split, more in (
            ("attribute-9", 9, node("Split", "br", "first second", axis=1, split=[2, 2]), {}),
            ("equal-12", 12, node("Split", "br", "first second", axis=1), {}),
            ("input-13", 13, node("Split", "br parts", "first second", axis=-3), {"parts": ints(2, 2)}),
            ("count-18", 18, node("Split", "br", "first second", axis=1, num_outputs=2), {})):
        yield "split-" + name, with_head([split if n is None else n for n in halves], {**m, **more}, (2, 4, 4), (4, 4, 4),
                                         opset=opset)
    yield "split-uneven-one-unused", with_head([node("Split", "x parts", "a b h", axis=1)], {"parts": ints(1, 2, 3)},
                                               (6, 4, 4), (3, 4, 4))
    # the shortcut of ResNets for CIFAR: subsampled, zeros around the channels
    yield "padded-shortcut", with_head(
        two[:1] + [node("Relu", "a", "ar"), node("Slice", "ar s e rows two", "r"), node("Slice", "r s e columns two", "q"),
                   node("Pad", "q pads", "p"), node("Conv", "ar n", "b", strides=[2, 2]), node("Add", "p b", "d"),
                   node("Relu", "d", "h")],
        {**k, **steps, "n": weights(7, 3, 1, 1), "pads": ints(0, 2, 0, 0, 0, 2, 0, 0)}, (2, 5, 4), (7, 3, 2))
    yield "linear-into-conv", with_head(  # a linear bottleneck: a graded value reaches a depthwise convolution
        both[:1] + [both[2], node("Conv", "ar n", "b"), node("Conv", "b o", "d", group=4, pads=[1, 1, 1, 1]),
                    node("Relu", "d", "h")], {**k, "n": weights(4, 3, 1, 1), "o": weights(4, 1, 3, 3)}, (2, 4, 4),
        (4, 4, 4))


def arithmetic():
    k = {"k": weights(2, 2, 1, 1), "kb": weights(2)}
    conv = node("Conv", "x k kb", "c", "/a/Conv")
    per_channel = weights(2, 1, 1) + 1.5
    for op in ("Add", "Sub", "Mul", "Div"):
        yield op.lower() + "-channel", with_head([conv, node(op, "c p", "h")], {**k, "p": per_channel}, (2, 3, 3),
                                                 (2, 3, 3))
        yield op.lower() + "-scalar", with_head([node(op, "x p", "h")], {"p": real(1.25)}, (2, 3, 3), (2, 3, 3))
    yield "constant-minus", with_head([conv, node("Sub", "p c", "h")], {**k, "p": per_channel[None]}, (2, 3, 3),
                                      (2, 3, 3))
    yield "add-to-shared-conv", with_head([conv, node("Add", "c p", "d"), node("Relu", "c", "e"), node("Add", "d e", "h")],
                                          {**k, "p": per_channel}, (2, 3, 3), (2, 3, 3))
    yield "add-through-shared-identity", with_head(
        [conv, node("Identity", "c", "i"), node("Add", "i p", "d"), node("Add", "d c", "h")],
        {**k, "p": per_channel}, (2, 3, 3), (2, 3, 3))
    yield "residual", with_head([conv, node("Add", "c x", "d"), node("Relu", "d", "h")], k, (2, 3, 3), (2, 3, 3))
    yield "add-itself", with_head([conv, node("Add", "c c", "h")], k, (2, 3, 3), (2, 3, 3))
    yield "sum", with_head([conv, node("Sum", "c x p x", "h")], {**k, "p": per_channel}, (2, 3, 3), (2, 3, 3))
    yield "sum-of-one", with_head([conv, node("Sum", "c", "h")], k, (2, 3, 3), (2, 3, 3))


def graphs():
    k = {"a.weight": weights(2, 2, 1, 1), "a.bias": weights(2)}
    conv = node("Conv", "x a.weight a.bias", "c")
    tail, extra = head("c", 2, 3, 3)
    yield "out-of-order", model(tail[::-1] + [conv], {**k, **extra}, (2, 3, 3))
    listed_too = [helper.make_tensor_value_info(n, T.FLOAT, t.shape) for n, t in {**k, **extra}.items()]
    yield "initializers-as-inputs", model([conv] + tail, {**k, **extra}, (2, 3, 3), extra_inputs=listed_too, ir=3,
                                          opset=8)
    yield "dead-nodes", model([conv, node("Tanh", "c", "unused"), node("Relu", "c", "unused2")] + tail, {**k, **extra},
                              (2, 3, 3))
    yield "same-names", model([conv, node("Conv", "c a.weight a.bias", "d")] + head("d", 2, 3, 3)[0], {**k, **extra},
                              (2, 3, 3))


def external(folder):
    """Weights beside the model, at an offset."""
    made = with_head([node("Conv", "x k", "h")], {"k": weights(2, 2, 1, 1)}, (2, 3, 3), (2, 3, 3))
    data = b"\0" * 64
    for t in made.graph.initializer:
        raw = t.raw_data
        t.ClearField("raw_data")
        t.data_location = onnx.TensorProto.EXTERNAL
        for key, value in (("location", "weights.bin"), ("offset", str(len(data))), ("length", str(len(raw)))):
            t.external_data.add(key=key, value=value)
        data += raw
    (folder / "weights.bin").write_bytes(data)
    return made


# ---- quantised: neurons with asg at T = levels give the float network's own numbers ----


def quantised():
    k = {"k": weights(4, 2, 3, 3), "kb": weights(4), "m": weights(4, 4, 3, 3), "mb": weights(4), "low": real(0),
         "high": real(1), "eight": real(8), "half": real(0.5), "theta": real(1.5), "four": real(4)}
    first = node("Conv", "x k kb", "c", pads=[1, 1, 1, 1])
    second = node("Conv", "q m mb", "d", pads=[1, 1, 1, 1])

    def levels(x, y, *steps):
        """x through steps such as "Mul eight" to y."""
        names = [x] + [f"{y}{i}" for i in range(len(steps) - 1)] + [y]
        return [node(s.split()[0], " ".join([a, *s.split()[1:]]), b) for s, a, b in zip(steps, names, names[1:])]

    def net(*steps, more=None, middle=(second,), after="d", shape=(4, 6, 6), opset=13):
        return with_head([first, *levels("c", "q", *steps), *middle, *levels(after, "h", *steps)], {**k, **(more or {})},
                         (2, 6, 6), shape, opset=opset)

    vr = ("Clip low high", "Mul eight", "Floor", "Div eight")
    yield "vr", net(*vr)
    yield "vr-clip-behind", net("Mul four", "Floor", "Clip low four", "Div four")
    yield "vr-relu", net("Relu", "Mul eight", "Floor", "Div eight", "Clip low high")
    yield "qcfs", net("Div theta", "Clip low high", "Mul four", "Add half", "Floor", "Mul theta", "Div four")
    yield "round", net("Clip low high", "Mul eight", "Round", "Div eight")
    yield "scaled", net("Mul half", "Clip low high", "Mul four", "Floor", "Div four")  # its drive is scaled
    quarter = {"low": real(0.25)}
    yield "vr-from-two", net(*vr, more=quarter)  # an offset that meets zero padding
    yield "vr-below-zero", net(*vr, more={"low": real(-0.5), "high": real(0.5)})
    yield "vr-from-two-unpadded", net(*vr, more=quarter, middle=[node("Conv", "q m mb", "d")], shape=(4, 4, 4))
    groups = {"m": weights(4, 2, 3, 3), **quarter}
    yield "vr-from-two-groups-strides", net(*vr, more=groups, middle=[
        node("Conv", "q m mb", "d", pads=[1, 0, 2, 1], group=2, strides=[2, 1], dilations=[1, 2])], shape=(4, 4, 3))
    pools = [node("MaxPool", "q", "p", kernel_shape=[2, 2], strides=[2, 2]), node("AveragePool", "p", "e",
             kernel_shape=[2, 2]), node("Conv", "e m mb", "d", pads=[1, 1, 1, 1])]
    yield "vr-from-two-pools", net(*vr, more=quarter, middle=pools, shape=(4, 2, 2))
    pad = [node("Pad", "q p", "e"), node("Conv", "e m mb", "d")]
    yield "vr-from-two-pad", net(*vr, more={**quarter, "p": ints(0, 0, 1, 1, 0, 0, 1, 1)}, middle=pad)
    counted = [node("AveragePool", "q", "e", kernel_shape=[2, 2], pads=[1, 1, 0, 0], count_include_pad=1),
               node("Conv", "e m mb", "d", pads=[1, 1, 1, 1])]
    yield "vr-from-two-counted-pads", net(*vr, more=quarter, middle=counted)
    yield "vr-from-two-residual", net(*vr, more=quarter, middle=[second, node("Add", "d q", "e")], after="e")
    yield "vr-from-two-concat", net(*vr, more={**quarter, "m": weights(4, 8, 3, 3)}, middle=[
        node("Concat", "q q", "e", axis=1), node("Conv", "e m mb", "d", pads=[1, 1, 1, 1])])
    tail = [node("GlobalAveragePool", "q", "g"), node("Flatten", "g", "y")]
    yield "vr-from-two-last", model([first, *levels("c", "q", *vr)] + tail, {**k, **quarter}, (2, 6, 6))
    by_attribute = ("Clip", "Mul eight", "Floor", "Div eight")
    old = net(*by_attribute, opset=9)
    for n in old.graph.node:
        if n.op_type == "Clip":
            n.attribute.extend([helper.make_attribute("min", 0.0), helper.make_attribute("max", 1.0)])
    yield "vr-opset-9", old
    behind = net(*vr)  # constants as nodes, each just before its reader, as torch writes them
    for name in ("low", "high", "eight"):
        t = next(t for t in behind.graph.initializer if t.name == name)
        behind.graph.initializer.remove(t)
        at = max(i for i, n in enumerate(behind.graph.node[:6]) if name in n.input)
        behind.graph.node.insert(at, node("Constant", "", name, value=t))
    yield "vr-constant-nodes", behind
    ice = {"k": weights(4, 6, 3, 3), "t": real(4), "t1": real(5), "t2": real(3)}  # YZW Algorithm 3
    parts = [levels("x", f"i{i}", "Clip low high", f"Mul {n}", "Floor", "Clip low t", "Div t")
             for i, n in enumerate(("t", "t1", "t2"))]
    yield "ice", with_head([n for part in parts for n in part] + [node("Concat", "i0 i1 i2", "i", axis=1),
                           node("Conv", "i k kb", "c"), *levels("c", "h", "Clip low high", "Mul t", "Floor", "Div t")],
                           {**k, **ice}, (2, 6, 6), (4, 4, 4))
    shared = [n for i, t in enumerate(("t", "t1", "t2"))  # one Clip for all three, as torch writes it
              for n in levels("b", f"i{i}", f"Mul {t}", "Floor", "Clip low t", "Div t")]
    yield "ice-shared-clip", with_head([node("Clip", "x low high", "b"), *shared, node("Concat", "i0 i1 i2", "i", axis=1),
                                        node("Conv", "i k kb", "c"),
                                        *levels("c", "h", "Clip low high", "Mul t", "Floor", "Div t")],
                                       {**k, **ice}, (2, 6, 6), (4, 4, 4))


# ---- refused ----


def refused():
    RNG.seed(8)  # new accepted cases leave these files alone

    def bad(name, status, text, made):
        return name, f"{status}\n{text}\n", made

    k = {"k": weights(2, 2, 1, 1)}
    one = lambda op, inputs="x", tensors=None, shape=(2, 4, 4), opset=13, name="n1", **a: model(
        [node(op, inputs, "y", name, **a)], tensors or {}, shape, opset=opset)
    for op in ("LeakyRelu", "HardSwish", "PRelu"):
        yield bad(op.lower(), "unsupported", "Relu, or Clip", one(op))
    for op, hint in (("LSTM", "state that is carried"), ("Sigmoid", "Relu, or Clip"), ("ConvTranspose", "enlarge a map"),
                     ("QuantizeLinear", "before quantisation"), ("Frobnicate", "README.md lists")):
        yield bad(op.lower(), "unsupported", hint, one(op))
    yield bad("unnamed", "unsupported", "Tanh #0: operator Tanh (opset 13) is not supported", one("Tanh", name=""))
    yield bad("concat-rows", "unsupported", "along axis 2; channels (axis 1)", one("Concat", "x x", axis=2))
    yield bad("concat-axis", "unsupported", "along axis 4; channels (axis 1)", one("Concat", "x x", axis=4))
    yield bad("concat-sizes", "unsupported", "rows and columns differ",
              model([node("GlobalAveragePool", "x", "g"), node("Concat", "x g", "y", axis=1)], {}, (2, 4, 4)))
    yield bad("concat-constant", "unsupported", "a constant (input 1)",
              one("Concat", "x c", {"c": np.zeros((1, 2, 4, 4), np.float32)}, axis=1))
    yield bad("concat-of-views", "unsupported", "not seen apart",  # channels across what are channels in truth
              model([node("Reshape", "x to", "r"), node("Concat", "r r", "y", axis=1)], {"to": ints(0, 4, 8)}, (2, 4, 4)))
    cut = lambda s, e, axis, step=1, shape=(4, 4, 4): one(
        "Slice", "x s e a t", {"s": ints(s), "e": ints(e), "a": ints(axis), "t": ints(step)}, shape)
    yield bad("slice-batch", "unsupported", "of the batch", cut(0, 1, 0))
    yield bad("slice-backwards", "unsupported", "backwards", cut(-1, -9, 3, -1))
    yield bad("slice-channel-steps", "unsupported", "every so many channels", cut(0, 4, 1, 2))
    yield bad("slice-empty", "format", "leaves nothing of dimension 2", cut(3, 3, 2))
    yield bad("slice-step-zero", "format", "a step is 0", cut(0, 4, 2, 0))
    yield bad("slice-axis", "format", "an axis is out of range", cut(0, 4, 4))
    yield bad("slice-computed", "unsupported", "computed at run time", model(
        [node("Relu", "x", "r"), node("Slice", "x r e", "y")], {"e": ints(1)}, (2, 4, 4)))
    part = lambda inputs="x", outputs="y z", tensors=None, shape=(4, 4, 4), **a: model(
        [node("Split", inputs, outputs, "n1", **a), node("Relu", outputs.split()[0], "out")], tensors or {}, shape,
        outputs=("out",))
    yield bad("split-parts", "format", "do not make up 4 channels", part("x p", tensors={"p": ints(1, 2)}, axis=1))
    yield bad("split-negative", "format", "do not make up 4 channels", part("x p", tensors={"p": ints(5, -1)}, axis=1))
    yield bad("split-count", "format", "do not make up 4 channels", part("x p", tensors={"p": ints(1, 1, 2)}, axis=1))
    yield bad("split-rows", "unsupported", "along axis 2", part(axis=2))
    yield bad("split-more-than-channels", "format", "do not make up 4", part(outputs="a b c d e", axis=1))
    yield bad("shuffle", "unsupported", "channels first", model(
        [node("Reshape", "x five", "r"), node("Transpose", "r", "t", perm=[0, 2, 1, 3, 4]), node("Reshape", "t four", "y")],
        {"five": ints(0, 2, 2, 4, 4), "four": ints(0, 4, 4, 4)}, (4, 4, 4)))
    yield bad("gather-channels", "unsupported", "in any order", one("Gather", "x i", {"i": ints(1, 0)}, axis=1))
    foreign = one("Attention")
    foreign.graph.node[0].domain = "com.example"
    yield bad("domain", "unsupported", "not 'com.example'", foreign)
    yield bad("opset-6", "unsupported", "opset 6", one("Relu", opset=6))
    yield bad("opset-21", "unsupported", "opset 21", one("Relu", opset=21))
    nothing = one("Relu")
    del nothing.opset_import[:]
    yield bad("no-opset", "format", "opset 0", nothing)
    yield bad("conv-1d", "unsupported", "in 1 dimensions", one("Conv", "x k", {"k": weights(2, 2, 3)}))
    yield bad("conv-3d", "unsupported", "in 3 dimensions", one("Conv", "x k", {"k": weights(1, 1, 1, 1, 1)}))
    yield bad("conv-channels", "format", "do not fit an input of 2 channels", one("Conv", "x k", {"k": weights(2, 3, 1, 1)}))
    yield bad("conv-computed-weights", "unsupported", "computed at run time",
              model([node("Relu", "x", "r"), node("Conv", "x r", "y")], {}, (2, 4, 4)))
    yield bad("weights-nan", "format", "tensor 'k' holds a value that is not finite",
              one("Conv", "x k", {"k": np.full((2, 2, 1, 1), np.nan, np.float32)}))
    yield bad("weights-short", "format", "needs 16 bytes of data, it has 12",
              one("Conv", "x k", {"k": onnx.TensorProto(name="k", dims=[2, 2, 1, 1], data_type=1, raw_data=b"\0" * 12)}))
    yield bad("weights-strings", "unsupported", "type 8",
              one("Conv", "x k", {"k": onnx.TensorProto(name="k", dims=[1], data_type=8, string_data=[b"a"])}))
    yield bad("weights-external-parent", "format", "not a plain relative name", one("Conv", "x k", {"k": onnx.TensorProto(
        name="k", dims=[2, 2, 1, 1], data_type=1, data_location=1,
        external_data=[onnx.StringStringEntryProto(key="location", value="../secret.bin")])}))
    yield bad("weights-external-absolute", "format", "not a plain relative name", one("Conv", "x k", {
        "k": onnx.TensorProto(name="k", dims=[2, 2, 1, 1], data_type=1, data_location=1, external_data=[
            onnx.StringStringEntryProto(key="location", value="/etc/passwd")])}))
    yield bad("weights-external-missing", "not-found", "external data file is missing", one("Conv", "x k", {
        "k": onnx.TensorProto(name="k", dims=[2, 2, 1, 1], data_type=1, data_location=1, external_data=[
            onnx.StringStringEntryProto(key="location", value="absent.bin")])}))
    yield bad("clip-below-zero", "unsupported", "from -1 to 1", one("Clip", opset=10, min=-1.0, max=1.0))
    yield bad("pool-ceil", "unsupported", "with ceil_mode", one("AveragePool", kernel_shape=[3, 3], strides=[3, 3],
                                                                  pads=[1, 1, 0, 0], ceil_mode=1, count_include_pad=1))
    yield bad("pool-ceil-in-padding", "unsupported", "in the padding alone", one(
        "MaxPool", shape=(2, 5, 5), kernel_shape=[2, 2], strides=[2, 2], pads=[1, 1, 1, 1], ceil_mode=1))
    yield bad("pool-indices", "unsupported", "its output 1 in use",
              model([node("MaxPool", "x", "p i", kernel_shape=[2, 2]), node("Add", "p i", "y")], {}, (2, 4, 4)))
    yield bad("mean-over-channels", "unsupported", "rows and columns", one("ReduceMean", axes=[1]))
    yield bad("pad-last", "unsupported", "ends in a Pad", one("Pad", "x p", {"p": ints(0, 0, 1, 1, 0, 0, 1, 1)}))
    yield bad("pad-leaves-nothing", "unsupported", "leave nothing", one("Pad", "x p", {"p": ints(0, 0, -2, 0, 0, 0, -2, 0)}))
    yield bad("pad-reflect", "unsupported", "mode other than constant",
              one("Pad", "x p", {"p": ints(0, 0, 1, 1, 0, 0, 1, 1)}, mode="reflect"))
    yield bad("pad-batch", "unsupported", "of the batch", one("Pad", "x p", {"p": ints(1, 0, 0, 0, 0, 0, 0, 0)}))
    yield bad("gemm-on-map", "unsupported", "flatten it", one("Gemm", "x w", {"w": weights(4, 3)}))
    yield bad("gemm-features", "format", "do not fit an input of 5", one("Gemm", "x w", {"w": weights(4, 3)}, (5,)))
    yield bad("mul-activations", "unsupported", "on two activations", one("Mul", "x x"))
    yield bad("add-shapes", "unsupported", "different shapes (2x4x4 and 2x1x1)",
              model([node("GlobalAveragePool", "x", "g"), node("Add", "x g", "y")], {}, (2, 4, 4)))
    yield bad("add-per-pixel", "unsupported", "one per channel", one("Add", "x p", {"p": weights(1, 4, 4)}))
    yield bad("softmax-inside", "unsupported", "inside the network",
              model([node("Flatten", "x", "f"), node("Softmax", "f", "s"), node("Relu", "s", "y")], {}, (2, 1, 1)))
    yield bad("transpose", "unsupported", "channels first", one("Transpose", perm=[0, 2, 3, 1]))
    yield bad("cycle", "format", "the graph has a cycle",
              model([node("Add", "x b", "a", "first"), node("Relu", "a", "b", "second"), node("Relu", "b", "y")], {},
                    (2, 4, 4)))
    yield bad("missing-input", "format", "n1: it reads 'nowhere'", one("Add", "x nowhere"))
    yield bad("defined-twice", "format", "y: the graph defines this value twice",
              model([node("Relu", "x", "y"), node("Relu", "x", "y")], {}, (2, 4, 4)))
    yield bad("two-inputs", "unsupported", "several inputs ('x' and 'x2')", model(
        [node("Relu", "x", "y")], {}, (2, 4, 4), extra_inputs=[helper.make_tensor_value_info("x2", T.FLOAT, [1, 2])]))
    yield bad("two-outputs", "unsupported", "several outputs ('y' and 'z')",
              model([node("Relu", "x", "y"), node("Relu", "y", "z")], {}, (2, 4, 4), outputs=("y", "z")))
    yield bad("no-output", "format", "no output", model([node("Relu", "x", "y")], {}, (2, 4, 4), outputs=()))
    yield bad("output-unknown", "format", "nothing in the graph defines its output",
              model([node("Relu", "x", "y")], {}, (2, 4, 4), outputs=("z",)))
    yield bad("output-constant", "format", "does not depend on the input", model([], k, (2, 4, 4), outputs=("k",)))
    yield bad("dynamic-size", "unsupported", "dimension 2 of the input is dynamic", model(
        [node("Relu", "x", "y")], {}, (2, "height", 4)))
    yield bad("rank-3", "unsupported", "the input has 3 dimensions", one("Relu", shape=(2, 4)))
    yield bad("batch-arithmetic", "unsupported", "unknown batch size",
              model([node("Shape", "x", "s"), node("Mul", "s two", "t"), node("Reshape", "x t", "y")],
                    {"two": ints(2)}, (2, 4, 4)))
    yield bad("memory-bomb", "too-large", "far more memory",
              model([node("ConstantOfShape", "n", "c"), node("Add", "x c", "y")], {"n": ints(1 << 20, 1 << 20)},
                    (2, 4, 4)))
    yield bad("branch", "unsupported", "without branches", one("If"))
    yield bad("floor-unbounded", "unsupported", "f: operator Floor (opset 13) is not supported without a bound",
              model([node("Relu", "x", "r"), node("Floor", "r", "y", "f")], {}, (2, 4, 4)))
    steps = {"low": real(0), "high": real(0.3), "four": real(4), "many": real(5000), "one": real(1)}
    yield bad("floor-between-levels", "unsupported", "lies between two levels", model(
        [node("Mul", "x four", "a"), node("Floor", "a", "b"), node("Div", "b four", "c"),
         node("Clip", "c low high", "y")], steps, (2, 4, 4)))
    yield bad("floor-levels", "unsupported", "to 5000 levels; 1 to 4096", model(
        [node("Clip", "x low one", "a"), node("Mul", "a many", "b"), node("Floor", "b", "y")], steps, (2, 4, 4)))
    yield bad("floor-no-level", "unsupported", "to 0 levels", model(
        [node("Clip", "x low high", "a"), node("Floor", "a", "y")], steps, (2, 4, 4)))
    yield bad("floor-per-channel", "unsupported", "without a bound", model(
        [node("Mul", "x k", "a"), node("Floor", "a", "y")], {"k": weights(2, 1, 1)}, (2, 4, 4)))
    yield "no-graph", "format\nit holds no graph\n", onnx.ModelProto(ir_version=7)
    yield "truncated", "format\ntruncated or malformed\n", one("Relu").SerializeToString()[:-3]
    yield "not-onnx", "format\nnot a valid ONNX file\n", b"\x89PNG\r\n\x1a\n" + b"\0" * 16


def main(root):
    groups = (convolutions, activations, pools, shapes, pads, joins, arithmetic, graphs)
    cases = [("accepted", *case) for group in groups for case in group()] + [("accepted", "external-data", external)]
    cases += [("quantised", *case) for case in quantised()]
    for kind, name, made in cases:
        folder = root / kind / name
        folder.mkdir(parents=True, exist_ok=True)
        if callable(made):
            made = made(folder)
        shape = [d.dim_value for d in made.graph.input[0].type.tensor_type.shape.dim][1:]
        x = RNG.rand(*shape).astype(np.float32) * 2 - 1
        (folder / "model.onnx").write_bytes(made.SerializeToString())
        (folder / "input.f32").write_bytes(x.tobytes())
        (folder / "scores.f32").write_bytes(run(made, folder, x).tobytes())
    for name, expected, made in refused():
        folder = root / "refused" / name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "model.onnx").write_bytes(made if isinstance(made, bytes) else made.SerializeToString())
        (folder / "expected.txt").write_text(expected)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(pathlib.Path(sys.argv[1]))
