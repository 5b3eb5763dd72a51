"""Model files refused for their graph: layers, how they are wired, extents."""
import json

import numpy as np

from model_file import broken


@broken("graph-missing", "format", "spiked.graph: this metadata key is missing")
def _(m):
    m.graph = None


@broken("graph-an-object", "format", "must be a JSON array")
def _(m):
    m.graph = {}


@broken("graph-empty", "format", "it has no layers")
def _(m):
    m.graph = []


@broken("graph-input-only", "format", "a network needs an input")
def _(m):
    del m.graph[1:]


@broken("graph-node-a-number", "format", "spiked.graph[1]: it must be an object")
def _(m):
    m.graph[1] = 7


@broken("graph-deep", "too-large", "spiked.graph: its JSON is nested")
def _(m):
    m.metadata["spiked.graph"] = "[" * 100


@broken("node-without-name", "format", "'name' is missing")
def _(m):
    del m.graph[1]["name"]


@broken("node-name-empty", "format", "has a name of 0 bytes")
def _(m):
    m.graph[0]["name"] = ""


@broken("node-name-too-long", "format", "'name' must be a string of fewer than")
def _(m):
    m.graph[1]["name"] = "c" * 300


@broken("node-name-twice", "format", "two layers have this name")
def _(m):
    m.graph[3]["name"] = "c"
    m.graph[3]["kernel"] = [2, 2]
    m.graph[3]["pads"] = [0, 0, 1, 1]
    m.tensors["c.weight"] = m.f32(np.zeros((2, 2, 1, 2)))
    m.graph[3]["groups"] = 2


@broken("node-op-unknown", "unsupported", "its op is 'lstm'")
def _(m):
    m.graph[2]["op"] = "lstm"


@broken("node-op-a-number", "format", "'op' must be a string")
def _(m):
    m.graph[2]["op"] = 3


@broken("inputs-missing", "format", "'inputs' must be an array")
def _(m):
    del m.graph[2]["inputs"]


@broken("inputs-cycle", "format", "does not precede it")
def _(m):
    m.graph[1]["inputs"] = [2]


@broken("inputs-itself", "format", "does not precede it")
def _(m):
    m.graph[2]["inputs"] = [2]


@broken("inputs-out-of-range", "format", "does not precede it")
def _(m):
    m.graph[3]["inputs"] = [4000]


@broken("inputs-negative", "format", "'inputs' must be an array of 1 integers")
def _(m):
    m.graph[3]["inputs"] = [-1]


@broken("inputs-too-many", "too-large", "65 inputs")
def _(m):
    m.graph.insert(1, {"name": "sum", "op": "add", "inputs": [0] * 65})


@broken("inputs-two-for-conv", "format", "takes 1")
def _(m):
    m.graph[1]["inputs"] = [0, 0]


@broken("inputs-one-for-add", "format", "takes 2")
def _(m):
    m.graph.insert(1, {"name": "sum", "op": "add", "inputs": [0]})


@broken("branches-of-different-shapes", "format", "branches of different shapes")
def _(m):
    m.graph.append({"name": "sum", "op": "add", "inputs": [3, 2]})


@broken("node-unused", "format", "no layer reads it")
def _(m):
    m.graph.insert(1, {"name": "p", "op": "avgpool", "inputs": [0], "kernel": [1, 1]})
    for i, node in enumerate(m.graph[2:]):
        node["inputs"] = [0 if i == 0 else i + 1]


@broken("input-twice", "format", "layer 0, and no other")
def _(m):
    m.graph.append({"name": "image2", "op": "input", "inputs": [], "shape": [1, 2, 2]})


@broken("input-shape-zero", "format", "an extent of its shape is 0")
def _(m):
    m.graph[0]["shape"] = [1, 0, 2]


@broken("input-shape-huge", "too-large", "over the limit")
def _(m):
    m.graph[0]["shape"] = [64, 65536, 65536]


@broken("input-shape-beyond-limit", "format", "'shape' must be an array of 3 integers 0..65536")
def _(m):
    m.graph[0]["shape"] = [1, 2**40, 2]


@broken("ends-in-a-neuron", "unsupported", "ends in an activation")
def _(m):
    del m.graph[3]


@broken("output-a-map", "unsupported", "one score per class")
def _(m):
    m.graph[1]["pads"] = [1, 1, 1, 1]


@broken("kernel-missing", "format", "'kernel' is missing")
def _(m):
    del m.graph[1]["kernel"]


@broken("kernel-a-number", "format", "'kernel' must be an array of 2")
def _(m):
    m.graph[1]["kernel"] = 2


@broken("kernel-other-than-weights", "format", "its shape is not [1, 2, 1, outputs]")
def _(m):
    m.graph[1]["kernel"] = [1, 2]


@broken("kernel-does-not-fit", "format", "does not fit")
def _(m):
    m.graph[0]["shape"] = [1, 1, 2]


@broken("stride-zero", "format", "must be 1..")
def _(m):
    m.graph[1]["stride"] = [0, 1]


@broken("pads-two", "format", "'pads' must be an array of 4")
def _(m):
    m.graph[1]["pads"] = [1, 1]


@broken("groups-zero", "format", "'groups' must be an integer 1..")
def _(m):
    m.graph[1]["groups"] = 0


@broken("groups-more-than-channels", "format", "do not divide")
def _(m):
    m.graph[1]["groups"] = 2
    m.tensors["c.weight"] = ["F32", [2, 2, 0, 2], b""]


@broken("pool-count-a-number", "format", "'count_include_pad' must be")
def _(m):
    m.graph.insert(3, {"name": "p", "op": "avgpool", "inputs": [2], "kernel": [1, 1], "count_include_pad": 1})


@broken("pool-pads-as-large-as-window", "format", "pooling pads")
def _(m):
    m.graph.insert(3, {"name": "p", "op": "maxpool", "inputs": [2], "kernel": [1, 1], "pads": [1, 1, 1, 1]})


@broken("clip-a-string", "format", "'clip' must be a number")
def _(m):
    m.graph[2]["clip"] = "6"


@broken("levels-without-clip", "format", "levels must be 0..4096, and need a clip")
def _(m):
    m.graph[2]["levels"] = 4


@broken("levels-too-many", "format", "'levels' must be")
def _(m):
    m.graph[2].update(clip=6, levels=5000)


@broken("rounding-a-string", "format", "'rounding' must be a number")
def _(m):
    m.graph[2].update(clip=6, levels=4, rounding="down")


@broken("rounding-one", "format", "rounding must be 0 or above and below 1")
def _(m):
    m.graph[2].update(clip=6, levels=4, rounding=1)


def with_constant(m):
    """A constant map of the convolution's shape, added to it."""
    m.graph[2:2] = [{"name": "k", "op": "constant", "inputs": [], "shape": [2, 1, 1]},
                    {"name": "sum", "op": "add", "inputs": [1, 2]}]
    m.graph[4]["inputs"], m.graph[5]["inputs"] = [3], [4]
    m.tensors["k.value"] = m.f32([1, 2])


@broken("constant-without-value", "format", "k.value: this tensor is missing")
def _(m):
    with_constant(m)
    del m.tensors["k.value"]


@broken("constant-short", "format", "k.value: it has 1 elements")
def _(m):
    with_constant(m)
    m.tensors["k.value"] = m.f32([1])


@broken("constant-nan", "format", "k: it has no values, or one is not finite")
def _(m):
    with_constant(m)
    m.tensors["k.value"] = m.f32([1, np.nan])


@broken("constant-reads", "format", "k: 1 inputs, a layer of kind constant takes 0")
def _(m):
    with_constant(m)
    m.graph[2]["inputs"] = [1]


@broken("recommended-neuron-unknown", "unsupported", "'neuron' is 'spiky'")
def _(m):
    m.metadata["spiked.recommended"] = json.dumps({"timesteps": 16, "neuron": "spiky"})


@broken("recommended-tau-zero", "format", "tau must be above 0 and at most 1")
def _(m):
    m.metadata["spiked.recommended"] = json.dumps({"timesteps": 16, "tau": 0})


@broken("clip-negative", "format", "clip must be > 0")
def _(m):
    m.graph[2]["clip"] = -6


def wired(m, node):
    m.graph.insert(3, {"name": "w", "inputs": [2], **node})
    m.graph[4]["inputs"] = [3]


@broken("concat-of-one", "format", "a layer of kind concat takes 2")
def _(m):
    wired(m, {"op": "concat"})


@broken("concat-rows", "format", "branches of different shapes")
def _(m):
    wired(m, {"op": "concat", "inputs": [0, 2]})


@broken("slice-without-shape", "format", "'shape' is missing")
def _(m):
    wired(m, {"op": "slice"})


@broken("slice-starts-behind", "format", "it starts at 2 of an input extent of 2")
def _(m):
    wired(m, {"op": "slice", "shape": [2, 1, 1], "start": [2, 0, 0]})


@broken("slice-all-zeros", "format", "2 zeros leave nothing")
def _(m):
    wired(m, {"op": "slice", "shape": [2, 1, 1], "zeros": [2, 0, 0]})


@broken("slice-step-zero", "format", "steps must be 1")
def _(m):
    wired(m, {"op": "slice", "shape": [2, 1, 1], "step": [1, 0]})


@broken("slice-start-negative", "format", "'start' must be an array of 3 integers")
def _(m):
    wired(m, {"op": "slice", "shape": [2, 1, 1], "start": [-1, 0, 0]})


@broken("slice-huge", "too-large", "over the limit")
def _(m):
    wired(m, {"op": "slice", "shape": [1, 65536, 65536]})
