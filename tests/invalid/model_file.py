"""The valid model file that refused ones are made of, and the list that cases enter by decorating what changes it."""
import json
import struct

import numpy as np


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
