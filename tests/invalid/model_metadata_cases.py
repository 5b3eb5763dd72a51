"""Model files refused for their metadata: version, tables of calibration, preprocessing, labels, recommendations."""
import json

import numpy as np

from model_file import broken, case


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
table("table-shift-two", "format", "'shift' must be an integer 0..1", shift=2)
table("table-shift-of-no-layer", "format", "'shift' must be 0 or 1, or an array", shift=[])
table("table-shift-of-too-many", "format", "'shift' has 2 values for 1 neuron layers", shift=[1, 0])
table("table-shift-out-of-range", "format", "'shift' must be 0 or 1, or an array", shift=[2])
table("table-shift-text", "format", "'shift' must be 0 or 1, or an array", shift=["1"])
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
