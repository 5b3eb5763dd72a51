#!/usr/bin/python3
"""Write tests/invalid/model/<case>/{model.safetensors,expected.txt}: model files that must be refused.

Valid files for the fuzzer to start from go to tests/fuzz/corpus/model.

Every case is the same tiny valid network with one thing wrong. expected.txt holds two lines: the status name and a
fragment of "where: text" of the error. The cases are in model_*_cases.py. The output depends on nothing but these
scripts (numpy and json), so running it again must leave the committed files as they are.
"""
import json
import pathlib
import shutil

import numpy as np

import model_container_cases  # noqa: F401  cases enter CASES as they are imported
import model_tensor_cases  # noqa: F401
from model_file import CASES, Model
from model_graph_cases import with_constant
from model_metadata_cases import with_tables

HERE = pathlib.Path(__file__).resolve().parent / "model"
SEEDS = HERE.parent.parent / "fuzz" / "corpus" / "model"


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
