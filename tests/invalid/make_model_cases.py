#!/usr/bin/python3
"""Write tests/invalid/model/<case>/{model.safetensors,expected.txt}: model files that must be refused.

Valid files for the fuzzer to start from go to tests/fuzz/corpus/model.

Every case is the same tiny valid network with one thing wrong. expected.txt holds two lines: the status name and a
fragment of "where: text" of the error. The output depends on nothing but this script (numpy and json), so running it
again must leave the committed files as they are.
"""
import json
import pathlib
import shutil
import struct

import numpy as np

HERE = pathlib.Path(__file__).resolve().parent / "model"
SEEDS = HERE.parent.parent / "fuzz" / "corpus" / "model"


class Model:
    """The valid network, taken apart so that a case can break one piece."""

    def __init__(self):
        self.tensors = {  # name: [dtype, shape, bytes]
            "c.weight": self.f32(np.arange(8).reshape(2, 2, 1, 2) / 8),
            "c.bias": self.f32([0.5, -0.5]),
            "c.threshold": self.f32([1.5]),
            "out.weight": self.f32(np.arange(6).reshape(1, 1, 2, 3) / 4),
            "out.bias": self.f32([0, 1, 2]),
        }
        self.graph = [
            {"name": "image", "op": "input", "inputs": [], "shape": [1, 2, 2]},
            {"name": "c", "op": "conv", "inputs": [0], "kernel": [2, 2]},
            {"name": "c", "op": "neuron", "inputs": [1]},
            {"name": "out", "op": "conv", "inputs": [2], "kernel": [1, 1]},
        ]
        self.metadata = {
            "spiked.format_version": "1",
            "spiked.name": "tiny",
            "spiked.preprocess": json.dumps({"mean": [0.5], "std": [0.25], "background": 0}),
            "spiked.labels": json.dumps(["a", "b", "c"]),
            "spiked.recommended": json.dumps({"timesteps": 16, "init": "half"}),
            "spiked.provenance": json.dumps({"source": "make_model_cases.py"}),
        }
        self.pad = False  # the header, so that tensors lie aligned
        self.edits = []  # functions that change the header before it is printed

    @staticmethod
    def f32(values):
        a = np.asarray(values, dtype="<f4")
        return ["F32", list(a.shape), a.tobytes()]

    def parts(self):
        header = {"__metadata__": dict(self.metadata)}
        if self.graph is not None:
            header["__metadata__"].setdefault("spiked.graph", json.dumps(self.graph))
        data = b""
        for name, (dtype, shape, content) in self.tensors.items():
            header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [len(data), len(data) + len(content)]}
            data += content
        for edit in self.edits:
            edit(header)
        text = json.dumps(header).encode()
        return text + b" " * (-len(text) % 8 if self.pad else 0), data

    def bytes(self):
        return container(*self.parts())


def container(header, data):
    return struct.pack("<Q", len(header)) + header + data


CASES = {}


def case(name, status, fragment):
    def register(make):
        assert name not in CASES, name
        CASES[name] = (status, fragment, make)
        return make
    return register


def broken(name, status, fragment):
    """A case whose function changes a Model in place."""
    def register(change):
        def make():
            m = Model()
            change(m)
            return m.bytes()
        return case(name, status, fragment)(make)
    return register


def header_edit(name, status, fragment):
    """A case whose function changes the header's dict."""
    return lambda edit: broken(name, status, fragment)(lambda m: m.edits.append(edit))


# ---- the container ----

case("empty-file", "format", "too few")(lambda: b"")
case("seven-bytes", "format", "too few")(lambda: b"\0" * 7)
case("not-safetensors", "format", "not a safetensors")(lambda: b"\x89PNG\r\n\x1a\n" + b"\0" * 24)
case("header-length-huge", "format", "not a safetensors")(lambda: struct.pack("<Q", 2**64 - 1) + b"{}")
case("header-length-negative", "format", "not a safetensors")(lambda: struct.pack("<q", -8) + b"{}")
case("header-empty", "format", "does not start with")(lambda: container(b"", b""))
case("header-array", "format", "does not start with")(lambda: container(b"[]", b""))
case("header-not-json", "format", "not valid JSON")(lambda: container(b"{model}", b""))
case("header-not-utf8", "format", "not valid JSON")(lambda: container(b'{"\xff\xfe": 1}', b""))
case("header-nul", "format", "not valid JSON")(lambda: container(b'{"a\\u0000b": 1}', b""))
case("header-two-values", "format", "not valid JSON")(lambda: container(b"{} {}", b""))
case("header-deep", "too-large", "nested more than")(lambda: container(b'{"a":' + b"[" * 40 + b"]" * 40 + b"}", b""))
case("no-tensors-no-metadata", "format", "spiked.format_version")(lambda: container(b"{}", b""))
case("truncated-data", "format", "outside")(lambda: Model().bytes()[:-1])
case("truncated-header", "format", "truncated")(lambda: Model().bytes()[:100])
case("bytes-after-the-end", "format", "belong to none")(lambda: Model().bytes() + b"\0")


@case("duplicate-tensor", "format", "duplicate")
def _():
    header, data = Model().parts()
    return container(header[:-1] + b', "c.bias": ' + json.dumps(
        {"dtype": "F32", "shape": [2], "data_offsets": [32, 40]}).encode() + b"}", data)


@header_edit("shape-overflows", "format", "its shape overflows")
def _(h):
    h["c.weight"]["shape"] = [2**32, 2**32, 2**32, 2]


@header_edit("shape-overflows-with-zero", "format", "its shape overflows")
def _(h):
    h["c.weight"]["shape"] = [2**62, 2**62, 0, 0]


@header_edit("shape-beyond-int64", "format", "not valid JSON")
def _(h):
    h["c.weight"]["shape"] = [2**70]


@header_edit("shape-bytes-overflow", "format", "its shape overflows")
def _(h):
    h["c.weight"]["shape"] = [2**62]


@header_edit("shape-negative", "format", "not an integer >= 0")
def _(h):
    h["c.weight"]["shape"] = [-2, -2, 1, 2]


@header_edit("shape-fraction", "format", "not an integer >= 0")
def _(h):
    h["c.weight"]["shape"] = [2.0, 2, 1, 2]


@header_edit("shape-nine-dimensions", "too-large", "9 dimensions")
def _(h):
    h["c.weight"]["shape"] = [2, 2, 1, 2, 1, 1, 1, 1, 1]


@header_edit("shape-disagrees-with-bytes", "format", "ask for 36 bytes")
def _(h):
    h["c.weight"]["shape"] = [9]


@header_edit("offsets-negative", "format", "integers >= 0")
def _(h):
    h["c.weight"]["data_offsets"] = [-32, 0]


@header_edit("offsets-huge", "format", "outside")
def _(h):
    h["c.weight"]["data_offsets"] = [2**63 - 33, 2**63 - 1]


@header_edit("offsets-reversed", "format", "outside")
def _(h):
    h["c.weight"]["data_offsets"] = [32, 0]


@header_edit("offsets-three", "format", "an array of two")
def _(h):
    h["c.weight"]["data_offsets"] = [0, 16, 32]


@header_edit("offsets-overlap", "format", "where another tensor lies")
def _(h):
    h["c.bias"]["data_offsets"] = [24, 32]


@broken("offsets-hole", "format", "belong to no tensor")
def _(m):
    del m.tensors["c.bias"]
    m.tensors = {**m.tensors}
    def shift(h):
        for name in ("c.threshold", "out.weight", "out.bias"):
            begin, end = h[name]["data_offsets"]
            h[name]["data_offsets"] = [begin + 4, end + 4]
        h["out.bias"]["shape"] = [2]
        h["out.bias"]["data_offsets"][1] -= 4
    m.edits.append(shift)


@header_edit("tensor-not-an-object", "format", "a tensor needs")
def _(h):
    h["c.bias"] = [1, 2]


@header_edit("dtype-unknown", "unsupported", "unknown dtype 'Q4'")
def _(h):
    h["c.bias"]["dtype"] = "Q4"


@header_edit("dtype-a-number", "format", "a tensor needs")
def _(h):
    h["c.bias"]["dtype"] = 32


@header_edit("metadata-not-an-object", "format", "__metadata__")
def _(h):
    h["__metadata__"] = "spiked"


@header_edit("metadata-value-not-a-string", "format", "must be a string")
def _(h):
    h["__metadata__"]["spiked.format_version"] = 1


# ---- version and metadata ----

@broken("version-missing", "format", "not a model of spiked")
def _(m):
    del m.metadata["spiked.format_version"]


@broken("version-future", "unsupported", "the file has format version 3, this build reads up to version 2")
def _(m):
    m.metadata["spiked.format_version"] = "3"
    m.graph = {"layers": "of a kind nobody knows yet"}


for bad in ("0", "1.0", "-1", "", "one", "99999999999999999999", " 1", "01"):
    @broken("version-bad-" + (bad.strip().replace(".", "-") or "empty") + ("-space" if " " in bad else ""), "format",
            "a whole number from 1")
    def _(m, bad=bad):
        m.metadata["spiked.format_version"] = bad


# ---- version 2: tables, identity, shift ----

def with_tables(m, **changes):
    """The model with a table in it, whose tensors lie aligned; `changes` go into the table's description."""
    table = {"neuron": "if", "init": "matched", "timesteps": 4, "factors": [0.5], **changes}
    m.tensors["if.matched.4.c"] = m.f32([0.5, 0.25])
    m.metadata["spiked.format_version"] = "2"
    m.metadata["spiked.network_sha256"] = "0123456789abcdef" * 4
    m.metadata["spiked.recommended"] = json.dumps({"timesteps": 16, "init": "matched", "shift": 1})
    m.metadata["spiked.calibration"] = json.dumps({"tables": [table]})
    m.pad = True
    return m


def table(name, status, fragment, **changes):
    broken(name, status, fragment)(lambda m: with_tables(m, **changes) and None)


table("table-factor-zero", "format", "the factor of 'c' is not between 1/1024 and 1024", factors=[0])
table("table-factor-negative", "format", "the factor of 'c' is not between 1/1024 and 1024", factors=[-1])
table("table-factor-huge", "format", "the factor of 'c' is not between 1/1024 and 1024", factors=[1025])
table("table-factor-missing", "format", "'factors' must be an array of 1 numbers", factors=[])
table("table-factor-a-number", "format", "'factors' must be an array of 1 numbers", factors=1)
table("table-neuron-unknown", "unsupported", "a table for neuron 'of-tomorrow'", neuron="of-tomorrow")
table("table-without-its-tensor", "format", "if.matched.8.c: this tensor is missing", timesteps=8)
table("table-timesteps-zero", "format", "'timesteps' must be an integer 1..4096", timesteps=0)


@broken("table-factor-overflows", "format", "factor 2 brings a threshold of 'c' out of range")
def _(m):
    with_tables(m, factors=[2]).tensors["c.threshold"] = m.f32([3e38])


@broken("table-not-aligned", "format", "if.matched.4.c: it must be an aligned F32 tensor")
def _(m):
    with_tables(m).pad = False
    m.edits.append(lambda h: h["__metadata__"].update(pad=" " * ((2 - len(json.dumps(h)) - 11) % 4)))


@broken("table-values", "format", "3 values; a layer of 2x1x1 neurons takes 1, 2 or 2")
def _(m):
    with_tables(m).tensors["if.matched.4.c"] = m.f32([1, 2, 3])


@broken("table-not-finite", "format", "if.matched.4.c: a potential is not finite")
def _(m):
    with_tables(m).tensors["if.matched.4.c"] = m.f32([1, np.inf])


@broken("tables-twice", "format", "the table if.matched.4 is listed twice")
def _(m):
    with_tables(m)
    about = json.loads(m.metadata["spiked.calibration"])
    m.metadata["spiked.calibration"] = json.dumps({"tables": about["tables"] * 2})


for wrong, text in (("tables-missing", "{}"), ("tables-empty", '{"tables": []}'), ("tables-a-number", '{"tables": 1}')):
    @broken(wrong, "format", "'tables' must be an array of 1 to 4096")
    def _(m, text=text):
        with_tables(m).metadata["spiked.calibration"] = text


@broken("tables-an-array", "format", "must be a JSON object")
def _(m):
    with_tables(m).metadata["spiked.calibration"] = "[]"


@broken("identity-short", "format", "spiked.network_sha256: it must be 64 hexadecimal digits")
def _(m):
    with_tables(m).metadata["spiked.network_sha256"] = "0" * 63


@broken("identity-upper-case", "format", "spiked.network_sha256: it must be 64 hexadecimal digits")
def _(m):
    with_tables(m).metadata["spiked.network_sha256"] = "A" * 64


@broken("recommended-shift", "format", "'shift' must be an integer 0..1")
def _(m):
    with_tables(m).metadata["spiked.recommended"] = '{"shift": 2}'


@broken("name-too-long", "format", "spiked.name")
def _(m):
    m.metadata["spiked.name"] = "n" * 256


@broken("labels-too-few", "format", "2 labels for 3 classes")
def _(m):
    m.metadata["spiked.labels"] = '["a", "b"]'


@broken("labels-not-strings", "format", "label 1 must be a string")
def _(m):
    m.metadata["spiked.labels"] = '["a", 2, "c"]'


@broken("labels-an-object", "format", "must be a JSON array")
def _(m):
    m.metadata["spiked.labels"] = '{"a": 0}'


@broken("labels-not-json", "format", "spiked.labels: not valid JSON")
def _(m):
    m.metadata["spiked.labels"] = "a, b, c"


@broken("preprocess-channels", "format", "'mean' must be an array of 1 numbers")
def _(m):
    m.metadata["spiked.preprocess"] = '{"mean": [0.5, 0.5, 0.5], "std": [1]}'


@broken("preprocess-std-zero", "format", "std finite and > 0")
def _(m):
    m.metadata["spiked.preprocess"] = '{"mean": [0.5], "std": [0]}'


@broken("preprocess-beyond-float", "format", "'mean' must be")
def _(m):
    m.metadata["spiked.preprocess"] = '{"mean": [1e300], "std": [1]}'


@broken("preprocess-beyond-double", "format", "not valid JSON")
def _(m):
    m.metadata["spiked.preprocess"] = '{"mean": [1e999], "std": [1]}'


@broken("preprocess-background", "format", "'background' must be an integer 0..255")
def _(m):
    m.metadata["spiked.preprocess"] = '{"mean": [0.5], "std": [1], "background": 256}'


@broken("preprocess-duplicate-key", "format", "duplicate")
def _(m):
    m.metadata["spiked.preprocess"] = '{"mean": [0.5], "mean": [0.25], "std": [1]}'


@broken("recommended-timesteps", "format", "'timesteps' must be an integer 1..4096")
def _(m):
    m.metadata["spiked.recommended"] = '{"timesteps": 0, "init": "half"}'


@broken("recommended-init", "unsupported", "'init' is 'quantum'")
def _(m):
    m.metadata["spiked.recommended"] = '{"timesteps": 32, "init": "quantum"}'


@broken("readout-threshold-zero", "format", "spiked.readout: 'threshold' must be a number above 0")
def _(m):
    m.metadata["spiked.readout"] = '{"threshold": 0}'


@broken("readout-threshold-beyond-float", "format", "spiked.readout: 'threshold' must be a number above 0")
def _(m):
    m.metadata["spiked.readout"] = '{"threshold": 1e39}'


@broken("readout-threshold-a-string", "format", "spiked.readout: 'threshold' must be a number above 0")
def _(m):
    m.metadata["spiked.readout"] = '{"threshold": "1"}'


@broken("provenance-a-string", "format", "spiked.provenance: not valid JSON")
def _(m):
    m.metadata["spiked.provenance"] = '"unknown"'


@broken("provenance-an-array", "format", "spiked.provenance: it must be a JSON object")
def _(m):
    m.metadata["spiked.provenance"] = "[]"


@broken("provenance-deep", "too-large", "nested more than")
def _(m):
    m.metadata["spiked.provenance"] = '{"a":' + "[" * 400 + "]" * 400 + "}"


# ---- the graph ----

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


# ---- tensors of layers ----

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


# ---- valid files: where the fuzzer starts ----

def seeds():
    found = {}
    for dtype in ("F32", "F16", "BF16", "I8"):
        m = found["weights-" + dtype.lower()] = Model()
        w = np.arange(6) / 4
        if dtype == "F16":
            m.tensors["out.weight"] = ["F16", [1, 1, 2, 3], w.astype("<f2").tobytes()]
        elif dtype == "BF16":
            bits = w.astype("<f4").view("<u4") >> 16
            m.tensors["out.weight"] = ["BF16", [1, 1, 2, 3], bits.astype("<u2").tobytes()]
        elif dtype == "I8":
            m.tensors["out.weight.scale"] = m.f32([0.25, 0.25, 0.25])
            m.tensors["out.weight"] = ["I8", [1, 1, 2, 3], np.arange(6).astype("i1").tobytes()]
    with_tables(found.setdefault("tables", Model()))
    m = found["all-kinds"] = Model()
    m.graph = [
        {"name": "image", "op": "input", "inputs": [], "shape": [1, 4, 4]},
        {"name": "c", "op": "conv", "inputs": [0], "kernel": [2, 2], "stride": [2, 2]},
        {"name": "c", "op": "neuron", "inputs": [1], "clip": 6},
        {"name": "m", "op": "maxpool", "inputs": [2], "kernel": [3, 3], "pads": [1, 1, 1, 1]},
        {"name": "sum", "op": "add", "inputs": [2, 3]},
        {"name": "a", "op": "avgpool", "inputs": [4], "kernel": [2, 2], "count_include_pad": True},
        {"name": "s", "op": "slice", "inputs": [5], "shape": [1, 1, 1], "start": [1, 0, 0], "step": [1, 2], "zeros": [0, 0, 0]},
        {"name": "s2", "op": "slice", "inputs": [6], "shape": [3, 1, 1], "zeros": [1, 0, 0]},
        {"name": "j", "op": "concat", "inputs": [7, 5]},
        {"name": "out", "op": "conv", "inputs": [8], "kernel": [1, 1], "dilation": [1, 1], "groups": 1},
    ]
    m.tensors["out.weight"] = m.f32(np.arange(15).reshape(1, 1, 5, 3) / 4)
    m.tensors["c.threshold"] = m.f32([1.5, 2])
    m.tensors["c.fire"] = m.f32([1, 2])
    m.tensors["c.amplitude"] = m.f32([1.5, 3])
    m.tensors["c.activation_max"] = m.f32([4, 0])
    m = found["quantised"] = Model()
    with_constant(m)
    m.graph[4].update(clip=1.5, levels=8, rounding=0.5)
    m.metadata["spiked.recommended"] = json.dumps({"timesteps": 8, "init": "half", "neuron": "lif", "tau": 0.5})
    return found


def main():
    shutil.rmtree(HERE, ignore_errors=True)
    for name, (status, fragment, make) in sorted(CASES.items()):
        folder = HERE / name
        folder.mkdir(parents=True)
        (folder / "model.safetensors").write_bytes(make())
        (folder / "expected.txt").write_text(f"{status}\n{fragment}\n")
    shutil.rmtree(SEEDS, ignore_errors=True)
    SEEDS.mkdir(parents=True)
    for name, model in seeds().items():
        (SEEDS / (name + ".safetensors")).write_bytes(model.bytes())
    print(f"{len(CASES)} cases")


if __name__ == "__main__":
    main()
