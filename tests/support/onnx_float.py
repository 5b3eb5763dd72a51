"""A float run of a small ONNX model, node by node with torch: the scores that our importer's network must give.

Knows the operators that make_onnx_fixtures.py uses, in their old and new forms, and the exact semantics that the fixtures
test (automatic pads, ceil_mode, counted padding). Softmax at the end is left out, as our importer does.
"""
import numpy as np
import torch
import torch.nn.functional as F
from onnx import TensorProto as T
from onnx import helper, numpy_helper




def attributes(n):
    return {a.name: helper.get_attribute_value(a) for a in n.attribute}


def windowed(x, n, a, kernel):
    """x padded with nothing yet, and the pads [top, left, bottom, right] the node asks for."""
    strides, dilations = a.get("strides", [1, 1]), a.get("dilations", [1, 1])
    pads, mode = a.get("pads", [0, 0, 0, 0]), a.get("auto_pad", b"NOTSET")
    if mode.startswith(b"SAME"):
        total = [max((-(-s // st) - 1) * st + (k - 1) * d + 1 - s, 0)
                 for s, st, k, d in zip(x.shape[2:], strides, kernel, dilations)]
        low = [t // 2 if mode == b"SAME_UPPER" else t - t // 2 for t in total]
        pads = low + [t - b for t, b in zip(total, low)]
    return strides, dilations, [pads[1], pads[3], pads[0], pads[2]]


def run_pool(x, n, a):
    kernel = a["kernel_shape"]
    strides, dilations, pads = windowed(x, n, a, kernel)
    if a.get("ceil_mode", 0):  # torch knows how, for pads that are the same at both ends
        assert pads[0] == pads[1] and pads[2] == pads[3]
        if n.op_type == "MaxPool":
            return F.max_pool2d(x, kernel, strides, (pads[2], pads[0]), dilations, ceil_mode=True)
        return F.avg_pool2d(x, kernel, strides, (pads[2], pads[0]), True, bool(a.get("count_include_pad", 0)))
    if n.op_type == "MaxPool":
        return F.max_pool2d(F.pad(x, pads, value=-torch.inf), kernel, strides, dilation=dilations)
    total = F.avg_pool2d(F.pad(x, pads), kernel, strides)
    count = torch.ones_like(x) if not a.get("count_include_pad", 0) else F.pad(torch.ones_like(x), pads, value=1.0)
    if not a.get("count_include_pad", 0):
        count = F.pad(count, pads)
    return total / F.avg_pool2d(count, kernel, strides)


def listed(a, name, v, i):
    return [int(k) for k in v[i]] if len(v) > i and v[i] is not None else a.get(name)


def run_node(n, v, opset):
    a, op = attributes(n), n.op_type
    x = v[0] if v else None
    if op == "Conv":
        strides, dilations, pads = windowed(x, n, a, v[1].shape[2:])
        bias = v[2] if len(v) > 2 else None
        return F.conv2d(F.pad(x, pads), v[1].float(), None if bias is None else bias.float(), strides,
                        dilation=dilations, groups=a.get("group", 1))
    if op == "BatchNormalization":
        return F.batch_norm(x, v[3], v[4], v[1], v[2], eps=a.get("epsilon", 1e-5))
    if op in ("AveragePool", "MaxPool"):
        return run_pool(x, n, a)
    if op == "Gemm":
        w = v[1].float().T if a.get("transB") else v[1].float()
        return a.get("alpha", 1.0) * (x @ w) + (a.get("beta", 1.0) * v[2] if len(v) > 2 else 0)
    if op == "Clip":
        low = v[1] if len(v) > 1 and v[1] is not None else a.get("min")
        high = v[2] if len(v) > 2 and v[2] is not None else a.get("max")
        return torch.clamp(x, None if low is None else float(low), None if high is None else float(high))
    if op == "ReduceMean":
        return x.mean(listed(a, "axes", v, 1), keepdim=bool(a.get("keepdims", 1)))
    if op == "Pad":
        p, k = listed(a, "pads", v, 1), x.dim()
        if len(v) > 3:
            axes = [int(i) for i in v[3]]
            full = [0] * 2 * k
            for i, axis in enumerate(axes):
                full[axis % k], full[k + axis % k] = p[i], p[len(axes) + i]
            p = full
        return F.pad(x, [e for d in reversed(range(k)) for e in (p[d], p[k + d])])
    if op == "Slice":
        at = [slice(None)] * x.dim()
        starts, ends = listed(a, "starts", v, 1), listed(a, "ends", v, 2)
        axes, steps = listed(a, "axes", v, 3) or range(len(starts)), listed(a, "steps", v, 4) or [1] * len(starts)
        for s, e, axis, step in zip(starts, ends, axes, steps):
            at[axis] = slice(s, None if e < -10**9 else e, step)
        return torch.from_numpy(np.ascontiguousarray(x.numpy()[tuple(at)]))
    if op == "Unsqueeze":
        for axis in sorted(listed(a, "axes", v, 1)):
            x = x.unsqueeze(axis)
        return x
    if op == "Squeeze":
        for axis in sorted((k % x.dim() for k in listed(a, "axes", v, 1)), reverse=True):
            x = x.squeeze(axis)
        return x
    if op == "Reshape":
        return x.reshape([x.shape[i] if int(d) == 0 else int(d) for i, d in enumerate(v[1])])
    if op == "Constant":
        return torch.from_numpy(np.array(numpy_helper.to_array(a["value"]) if "value" in a else next(iter(a.values()))))
    if op == "ConstantOfShape":
        return torch.full([int(d) for d in x], numpy_helper.to_array(a["value"]).item() if "value" in a else 0.0)
    if op == "Gather":
        return torch.from_numpy(np.array(np.take(x.numpy(), v[1].numpy(), axis=a.get("axis", 0))))
    if op == "Concat":
        return torch.cat(v, a["axis"])
    if op == "Split":
        sizes = listed(a, "split", v, 1) or -(-x.shape[a["axis"]] // len(n.output))
        return x.split(sizes, a["axis"])
    if op == "Cast":
        return x.to({T.FLOAT: torch.float32, T.INT64: torch.int64, T.DOUBLE: torch.float64}[a["to"]])
    simple = {
        "Relu": lambda: F.relu(x), "Add": lambda: x + v[1], "Sub": lambda: x - v[1], "Mul": lambda: x * v[1],
        "Div": lambda: x / v[1] if x.is_floating_point() else x // v[1], "Sum": lambda: sum(v),
        "MatMul": lambda: x @ v[1].float(), "Flatten": lambda: x.flatten(1), "Identity": lambda: x,
        "Dropout": lambda: x, "Softmax": lambda: x, "LogSoftmax": lambda: x,  # stripped: scores come before it
        "GlobalAveragePool": lambda: x.mean((2, 3), keepdim=True), "Shape": lambda: torch.tensor(x.shape),
        "Floor": lambda: x.floor(), "Round": lambda: x.round(),
        "GlobalMaxPool": lambda: x.amax((2, 3), keepdim=True),
        "Transpose": lambda: x.permute(a.get("perm", list(range(x.dim()))[::-1])).contiguous(),
    }
    return simple[op]()


def run(made, folder, x):
    values = {t.name: torch.from_numpy(numpy_helper.to_array(t, str(folder)).copy()) for t in made.graph.initializer}
    batch = made.graph.input[0].type.tensor_type.shape.dim[0].dim_value or 1
    values["x"], values[""] = torch.from_numpy(np.stack([x] * batch)), None
    waiting = list(made.graph.node)
    while waiting:  # in any order
        ready = next(n for n in waiting if all(i in values for i in n.input))
        waiting.remove(ready)
        if ready.op_type != "Tanh":  # a dead node stands for what the importer need not know
            made_now = run_node(ready, [values[i] for i in ready.input], made.opset_import[0].version)
            values.update(zip(ready.output, made_now if isinstance(made_now, tuple) else [made_now]))
    return values[made.graph.output[0].name][0].numpy().astype(np.float32)
