"""Model files refused for their container: safetensors lengths, header and tensor entries."""
import json
import struct

from model_file import Model, broken, case, container, header_edit


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
