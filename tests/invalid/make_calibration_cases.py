#!/usr/bin/python3
"""Write tests/invalid/calibration/<case>/{calibration.safetensors,expected.txt}: calibration files for the network
model.safetensors beside them, each with one thing wrong, but for the case `valid`, which must load.

expected.txt holds the status name and a fragment of "where: text". Files for the fuzzer to start from go to
tests/fuzz/corpus/calibration; they are bound to a network that was never saved. The output depends on nothing but this
script and model_file.py.
"""
import hashlib
import json
import pathlib
import shutil

import numpy as np

from model_file import Model, container

HERE = pathlib.Path(__file__).resolve().parent / "calibration"
SEEDS = HERE.parent.parent / "fuzz" / "corpus" / "calibration"
MODEL = Model().bytes()


class Calibration:
    """A valid calibration with two tables for the neurons `c` of the model: 1 x 1 positions, 2 channels."""

    def __init__(self, model_sha256=hashlib.sha256(MODEL).hexdigest()):
        self.tensors = {"if.matched.4.c": Model.f32([0.5, 0.25]), "lif.data.16.c": Model.f32([0.125])}
        self.description = {
            "model_sha256": model_sha256,
            "tables": [{"neuron": "if", "init": "matched", "timesteps": 4},
                       {"neuron": "lif", "init": "data", "timesteps": 16}],
        }
        self.metadata = {"spiked.calibration_version": "1"}

    def bytes(self):
        metadata = dict(self.metadata)
        if self.description is not None:
            text = self.description if isinstance(self.description, str) else json.dumps(self.description)
            metadata["spiked.calibration"] = text
        header, data = {"__metadata__": metadata}, b""
        for name, (dtype, shape, content) in self.tensors.items():
            header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [len(data), len(data) + len(content)]}
            data += content
        text = json.dumps(header).encode()
        return container(text + b" " * (-len(text) % 8), data)


CASES = {}


def case(name, status, fragment):
    def register(change):
        assert name not in CASES, name
        CASES[name] = (status, fragment, change)
        return change
    return register


def table(name, status, fragment, **members):
    """The first table with other members; None removes one."""
    def change(c):
        c.description["tables"][0].update(members)
        c.description["tables"][0] = {k: v for k, v in c.description["tables"][0].items() if v is not None}
    case(name, status, fragment)(change)


def values(name, status, fragment, tensor):
    def change(c):
        c.tensors["if.matched.4.c"] = tensor
    case(name, status, fragment)(change)


def description(name, status, fragment, value):
    def change(c):
        c.description = value
    case(name, status, fragment)(change)


@case("valid", "ok", "")
def _(c):
    pass


@case("version-missing", "format", "not a calibration of spiked")
def _(c):
    c.metadata = {}


@case("version-three", "unsupported", "the file has version '3', this build reads 1 to 2")
def _(c):
    c.metadata["spiked.calibration_version"] = "3"


@case("version-a-word", "unsupported", "the file has version 'one'")
def _(c):
    c.metadata["spiked.calibration_version"] = "one"


@case("a-model", "format", "not a calibration of spiked")
def _(c):
    m = Model()
    c.tensors, c.metadata, c.description = m.tensors, dict(m.metadata, **{"spiked.graph": json.dumps(m.graph)}), None


@case("model-another", "argument", "made for another network")
def _(c):
    c.description["model_sha256"] = "0" * 64


@case("model-missing", "format", "'model_sha256' is missing")
def _(c):
    del c.description["model_sha256"]


@case("model-a-number", "format", "'model_sha256' must be a string")
def _(c):
    c.description["model_sha256"] = 1


@case("model-too-long", "format", "'model_sha256' must be a string of fewer than")
def _(c):
    c.description["model_sha256"] += "0"


@case("tables-missing", "format", "'tables' must be an array")
def _(c):
    del c.description["tables"]


@case("tables-empty", "format", "'tables' must be an array")
def _(c):
    c.description["tables"] = []


@case("tables-too-many", "format", "'tables' must be an array of 1 to 4096")
def _(c):
    c.description["tables"] = [0] * 4097


@case("table-twice", "format", "listed twice")
def _(c):
    c.description["tables"].append(c.description["tables"][0])


@case("table-a-number", "format", "'neuron' is missing")
def _(c):
    c.description["tables"][0] = 4


@case("tensor-missing", "format", "if.matched.4.c: this tensor is missing")
def _(c):
    del c.tensors["if.matched.4.c"]


@case("tensor-of-second-table-missing", "format", "lif.data.16.c: this tensor is missing")
def _(c):
    del c.tensors["lif.data.16.c"]


@case("tensor-not-aligned", "format", "it must be an aligned F32 tensor")
def _(c):
    c.tensors = {"a": ["U8", [1], b"\0"], **c.tensors}


description("description-missing", "format", "not a calibration of spiked", None)
description("description-not-json", "format", "not valid JSON", "{tables}")
description("description-an-array", "format", "'model_sha256' is missing", "[]")
description("description-deep", "too-large", "nested more than", "[" * 40 + "]" * 40)
table("neuron-unknown", "unsupported", "neuron 'izhikevich'", neuron="izhikevich")
table("neuron-missing", "format", "'neuron' is missing", neuron=None)
table("init-unknown", "unsupported", "init 'guess'", init="guess")
table("init-without-table", "unsupported", "init 'half'", init="half")
table("init-missing", "format", "'init' is missing", init=None)
table("timesteps-zero", "format", "'timesteps' must be an integer 1..4096", timesteps=0)
table("timesteps-huge", "format", "'timesteps' must be an integer 1..4096", timesteps=4097)
table("timesteps-a-fraction", "format", "'timesteps' must be an integer 1..4096", timesteps=4.5)
table("timesteps-missing", "format", "'timesteps' is missing", timesteps=None)
values("values-nan", "format", "a potential is not finite", Model.f32([0, np.nan]))
values("values-infinite", "format", "a potential is not finite", Model.f32([-np.inf, 0]))
values("values-none", "format", "0 values; a layer of 2x1x1 neurons takes 1, 2 or 2", Model.f32([]))
values("values-too-many", "format", "3 values", Model.f32([0, 0, 0]))
values("values-f16", "format", "it must be an aligned F32 tensor", ["F16", [2], b"\0" * 4])


def main():
    shutil.rmtree(HERE, ignore_errors=True)
    for name, (status, fragment, change) in sorted(CASES.items()):
        folder = HERE / name
        folder.mkdir(parents=True)
        c = Calibration()
        change(c)
        (folder / "calibration.safetensors").write_bytes(c.bytes())
        (folder / "expected.txt").write_text(f"{status}\n{fragment}\n")
    (HERE / "model.safetensors").write_bytes(MODEL)
    shutil.rmtree(SEEDS, ignore_errors=True)
    SEEDS.mkdir(parents=True)
    (SEEDS / "two-tables.safetensors").write_bytes(Calibration("").bytes())
    per_layer = Calibration("")
    del per_layer.description["tables"][1], per_layer.tensors["lif.data.16.c"]
    per_layer.tensors["if.matched.4.c"] = Model.f32([0.5])
    (SEEDS / "one-table.safetensors").write_bytes(per_layer.bytes())
    print(f"{len(CASES)} cases")


if __name__ == "__main__":
    main()
