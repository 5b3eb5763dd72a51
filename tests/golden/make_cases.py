#!/usr/bin/python3
"""Writes tests/golden/cases/<case>/{model.safetensors, input.bin, expected.json}: run it and commit what changed.

A case is a tiny network of dyadic numbers (so that any order of additions gives the same float32), up to three images, and
the answers of reference.py for both initial potentials at several numbers of steps of one run; those of neuron_models
also hold runs with other options. Every case is checked here to be worth something: all its neuron layers fire, and
under `if` none all the time.
"""
import json
import pathlib
import random
import shutil

import numpy as np

import reference

CASES = pathlib.Path(__file__).parent / "cases"
CHECKPOINTS = [1, 2, 5, 16, 17, 33]
IMAGES = 3


class Case:
    """A network under construction; every method appends a layer and returns its index."""

    def __init__(self, name, shape, pixel=(-4, 8, 4), images=IMAGES):
        self.name, self.random, self.graph, self.tensors, self.shapes = name, random.Random(name), [], {}, []
        self.pixel, self.images, self.runs = pixel, images, []
        self.layer("image", "input", [], shape=list(shape))

    def layer(self, name, op, inputs, **attributes):
        self.graph.append({"name": name, "op": op, "inputs": inputs, **attributes})
        return len(self.graph) - 1

    def numbers(self, shape, low, high, denominator, zeros=0.0):
        """Random multiples of 1 / denominator between low and high (in units of it); some of them 0."""
        draw = lambda: 0 if self.random.random() < zeros else self.random.randint(low, high) / denominator
        return np.array([draw() for _ in range(int(np.prod(shape)))]).reshape(shape)

    def conv(self, source, channels, in_channels, kernel=(3, 3), groups=1, low=-4, high=6, denominator=8, zeros=0.0, **more):
        name = f"conv{len(self.graph)}"
        self.tensors[name + ".weight"] = self.numbers((*kernel, in_channels // groups, channels), low, high, denominator, zeros)
        self.tensors[name + ".bias"] = self.numbers((channels,), -2, 3, 8)
        return self.layer(name, "conv", [source], kernel=list(kernel), groups=groups, **more)

    def neurons(self, source, theta=(2.0,), fire=None, amplitude=None, **more):
        name = f"neuron{len(self.graph)}"
        for ending, values in ((".threshold", theta), (".fire", fire), (".amplitude", amplitude)):
            if values is not None:
                self.tensors[name + ending] = np.array(values)
        return self.layer(name, "neuron", [source], **more)

    def pool(self, op, source, kernel, **more):
        return self.layer(f"{op}{len(self.graph)}", op, [source], kernel=list(kernel), **more)

    def add(self, *sources):
        return self.layer(f"add{len(self.graph)}", "add", list(sources))

    def concat(self, *sources):
        return self.layer(f"concat{len(self.graph)}", "concat", list(sources))

    def slice(self, source, shape, **more):
        return self.layer(f"slice{len(self.graph)}", "slice", [source], shape=list(shape), **more)

    def classify(self, source, channels, height, width, classes=3):
        """A fully connected layer over the whole map."""
        return self.conv(source, classes, channels, (height, width))

    def write(self):
        images = self.numbers((self.images, *self.graph[0]["shape"]), *self.pixel)
        folder = CASES / self.name
        folder.mkdir(parents=True)
        self.balance(images)
        reference.write_model(folder / "model.safetensors", self.graph, self.tensors, name=self.name)
        images.astype("<f4").tofile(folder / "input.bin")
        network = reference.Network(*reference.read_model(folder / "model.safetensors"))
        answers = {"images": self.images, "checkpoints": CHECKPOINTS, "layers": len(self.graph), "init": {}}
        answers["reference"] = [[float(x) for x in network.float_scores(image)] for image in images]
        for init in ("zero", "half"):
            runs = [network.run(image, init, CHECKPOINTS) for image in images]
            fields = ("scores", "spikes", "synaptic_operations", "macs")
            answers["init"][init] = {f: [[at[k] for at in run] for run in runs] for k, f in enumerate(fields)}
            answers["init"][init]["scores"] = [[[float(x) for x in at[0]] for at in run] for run in runs]
        if self.runs:
            answers["runs"] = [self.answer(network, images, **run) for run in self.runs]
        (folder / "expected.json").write_text(json.dumps(answers, separators=(",", ":")) + "\n")
        for f in folder.iterdir():
            assert f.stat().st_size < 20480, f"{f} is too large"

    def answer(self, network, images, init, checkpoints, neuron, **options):
        """What a run with these options gives; every neuron layer that fires under `if` must fire here too."""
        runs = [network.run(image, init, checkpoints, neuron, **options) for image in images]
        fired = np.sum([run[-1][1] for run in runs], axis=0)
        assert all(fired[i] for i, layer in enumerate(self.graph) if layer["op"] == "neuron"), (self.name, neuron, init)
        fields = ("scores", "spikes", "synaptic_operations", "macs")
        found = {f: [[at[k] for at in run] for run in runs] for k, f in enumerate(fields)}
        found["scores"] = [[[float(x) for x in at[0]] for at in run] for run in runs]
        return {"init": init, "neuron": neuron, "checkpoints": checkpoints, **options, **found}

    def balance(self, images):
        """Double or halve levels until every neuron layer fires, and none nearly always."""
        sizes = [int(np.prod(s)) for s in self.measure()]
        for _ in range(12):
            network = reference.Network(self.graph, self.tensors)
            spikes = np.sum([network.run(image, "half", CHECKPOINTS[-1:])[0][1] for image in images], axis=0)
            for i, layer in enumerate(self.graph):
                rate = spikes[i] / (sizes[i] * self.images * CHECKPOINTS[-1])
                if layer["op"] == "neuron" and not 0.04 < rate < 0.8:
                    for ending in (".threshold", ".fire", ".amplitude"):
                        if layer["name"] + ending in self.tensors:
                            self.tensors[layer["name"] + ending] *= 2.0 if rate > 0.5 else 0.5
                    break
            else:
                return
        raise AssertionError(f"{self.name}: {layer['name']} cannot be balanced, it fires at a rate of {rate:.3f}")

    def measure(self):
        shapes = []
        for layer in self.graph:
            if layer["op"] in ("input", "slice"):
                shapes.append(tuple(layer["shape"]))
                continue
            c, h, w = shapes[layer["inputs"][0]]
            if layer["op"] == "concat":
                c = sum(shapes[k][0] for k in layer["inputs"])
            if "kernel" in layer:
                h, w, _ = reference.windows(layer, (c, h, w))
            if layer["op"] == "conv":
                c = self.tensors[layer["name"] + ".bias"].size
            shapes.append((c, h, w))
        return shapes


# ---- the cases: what each of them is there for stands in its name ----------------------------------------------------

def convolutions():
    c = Case("conv", (2, 5, 4))
    n = c.neurons(c.conv(0, 4, 2, pads=[1, 1, 1, 1]))
    c.classify(n, 4, 5, 4)
    yield c

    c = Case("conv-one-pixel", (1, 1, 1), pixel=(1, 4, 4))
    n = c.neurons(c.conv(0, 5, 1, (1, 1), low=1), theta=[1.0])
    c.conv(n, 2, 5, (1, 1))
    yield c

    c = Case("conv-stride-asymmetric-pads", (2, 7, 6))
    n = c.neurons(c.conv(0, 3, 2, (3, 2), stride=[2, 3], pads=[2, 0, 1, 1]))
    n = c.neurons(c.conv(n, 4, 3, (2, 2), stride=[1, 2], pads=[0, 1, 1, 0]), theta=[1.5])
    h, w = c.measure()[-1][1:]
    c.classify(n, 4, h, w)
    yield c

    c = Case("conv-dilation", (1, 7, 8))
    n = c.neurons(c.conv(0, 3, 1, dilation=[2, 3], pads=[2, 1, 0, 2]))
    n = c.neurons(c.conv(n, 3, 3, (2, 2), dilation=[3, 1], pads=[1, 1, 1, 1]), theta=[1.0])
    h, w = c.measure()[-1][1:]
    c.classify(n, 3, h, w)
    yield c

    c = Case("conv-groups", (4, 4, 4))
    n = c.neurons(c.conv(0, 6, 4, groups=2, pads=[1, 1, 1, 1]))
    n = c.neurons(c.conv(n, 9, 6, (2, 2), groups=3), theta=[1.0])
    c.classify(n, 9, 3, 3)
    yield c

    c = Case("conv-groups-across-words", (2, 2, 2))  # groups of 40 channels: words of spikes are cut at 64
    n = c.neurons(c.conv(0, 80, 2, (1, 1)), theta=[0.5])
    n = c.neurons(c.conv(n, 72, 80, (1, 1), groups=2, low=-3, high=4, zeros=0.6), theta=[1.0])
    c.conv(n, 2, 72, (2, 2), zeros=0.5)
    yield c

    c = Case("conv-depthwise", (3, 5, 5))
    n = c.neurons(c.conv(0, 6, 3, groups=3, pads=[1, 1, 1, 1]), theta=[1.0])  # two outputs for each input
    n = c.neurons(c.conv(n, 6, 6, groups=6, stride=[2, 2], pads=[1, 1, 1, 1]), theta=[1.0])
    n = c.neurons(c.conv(n, 4, 6, (1, 1)), theta=[1.0])
    c.classify(n, 4, 3, 3)
    yield c

    c = Case("fully-connected", (3, 3, 3))
    n = c.neurons(c.conv(0, 5, 3, pads=[1, 1, 1, 1]))
    n = c.neurons(c.conv(n, 8, 5, (3, 3)), theta=[4.0])
    n = c.neurons(c.conv(n, 6, 8, (1, 1)), theta=[1.0])
    c.conv(n, 3, 6, (1, 1))
    yield c

    c = Case("channels-70", (2, 2, 3))
    n = c.neurons(c.conv(0, 70, 2, (1, 1)), theta=[0.5])
    n = c.neurons(c.conv(n, 36, 70, (1, 1), low=-2, high=2, zeros=0.7), theta=[0.5])
    c.conv(n, 4, 36, (2, 3), zeros=0.5)
    yield c

    c = Case("channels-130", (1, 3, 2))
    n = c.neurons(c.conv(0, 130, 1, (2, 1), pads=[1, 0, 0, 0]), theta=[0.5])
    n = c.neurons(c.conv(n, 3, 130, (2, 2)), theta=[8.0])
    h, w = c.measure()[-1][1:]
    c.classify(n, 3, h, w)
    yield c

    c = Case("classes-70", (1, 2, 2), images=1)
    c.classify(c.neurons(c.conv(0, 3, 1, pads=[1, 1, 1, 1]), theta=[1.0]), 3, 2, 2, classes=70)
    yield c


def pools():
    c = Case("avgpool", (2, 4, 4))
    n = c.neurons(c.conv(0, 4, 2, pads=[1, 1, 1, 1]))
    p = c.pool("avgpool", n, (2, 2), stride=[2, 2])
    n = c.neurons(c.conv(p, 3, 4, (2, 2), denominator=2), theta=[1.0])
    c.conv(n, 3, 3, (1, 1))
    yield c

    c = Case("avgpool-then-neurons", (1, 4, 4))  # nothing between the pool and the neurons
    n = c.neurons(c.conv(0, 3, 1, pads=[1, 1, 1, 1]), theta=[1.0])
    n = c.neurons(c.pool("avgpool", n, (2, 2), stride=[1, 2]), theta=[0.5])
    h, w = c.measure()[-1][1:]
    c.classify(n, 3, h, w)
    yield c

    c = Case("avgpool-of-avgpool", (1, 6, 6))
    n = c.neurons(c.conv(0, 4, 1, (3, 3)), theta=[1.0])
    p = c.pool("avgpool", c.pool("avgpool", n, (2, 2), stride=[2, 2]), (2, 1))
    h, w = c.measure()[-1][1:]
    c.classify(p, 4, h, w)
    yield c

    c = Case("avgpool-global-last", (2, 4, 4))
    n = c.neurons(c.conv(0, 5, 2, pads=[1, 1, 1, 1]), theta=[1.5])
    c.pool("avgpool", n, (4, 4))
    yield c

    c = Case("avgpool-of-current-last", (2, 4, 4))  # convolution, then the mean of its currents, as in CIFAR nets
    n = c.neurons(c.conv(0, 5, 2, pads=[1, 1, 1, 1]), theta=[1.5])
    c.pool("avgpool", c.conv(n, 3, 5, (1, 1)), (4, 4))
    yield c

    for include in (False, True):
        c = Case("avgpool-pads-" + ("included" if include else "left-out"), (2, 3, 3))
        n = c.neurons(c.conv(0, 4, 2, pads=[1, 1, 1, 1]), theta=[1.0])
        p = c.pool("avgpool", n, (2, 2), stride=[2, 2], pads=[1, 1, 0, 0], count_include_pad=include)
        n = c.neurons(c.conv(p, 3, 4, (2, 2), low=-2, high=5, denominator=4), theta=[1.0])
        c.conv(n, 3, 3, (1, 1))
        yield c

    c = Case("avgpool-on-image", (2, 4, 4))
    n = c.neurons(c.conv(c.pool("avgpool", 0, (2, 2), pads=[0, 1, 1, 0]), 3, 2, (2, 2)), theta=[1.0])
    h, w = c.measure()[-1][1:]
    c.classify(n, 3, h, w)
    yield c

    c = Case("maxpool-before-neurons", (2, 4, 4))
    n = c.neurons(c.pool("maxpool", c.conv(0, 3, 2, pads=[1, 1, 1, 1]), (2, 2), stride=[2, 2]))
    n = c.neurons(c.pool("maxpool", c.conv(n, 4, 3, pads=[1, 1, 1, 1]), (2, 2)))
    c.conv(n, 3, 4, (1, 1))
    yield c

    c = Case("maxpool-overlapping-pads", (1, 5, 6))
    n = c.neurons(c.conv(0, 3, 1, pads=[1, 1, 1, 1]), theta=[1.0])
    p = c.pool("maxpool", c.conv(n, 3, 3, pads=[1, 1, 1, 1]), (3, 3), stride=[2, 2], pads=[1, 1, 1, 1])
    n = c.neurons(p)
    h, w = c.measure()[-1][1:]
    c.classify(n, 3, h, w)
    yield c

    c = Case("maxpool-on-spikes", (1, 5, 5))  # the neurons have another reader, so the pool stays behind them
    n = c.neurons(c.conv(0, 66, 1, (2, 2)), theta=[1.0])
    p = c.pool("maxpool", n, (2, 2), stride=[2, 2])
    q = c.pool("avgpool", n, (2, 2), stride=[2, 2])
    n = c.neurons(c.add(p, q), theta=[1.0])
    c.conv(n, 3, 66, (2, 2), zeros=0.5)
    yield c

    c = Case("maxpool-on-spikes-then-conv", (1, 5, 5))
    n = c.neurons(c.conv(0, 4, 1, (2, 2)), theta=[1.0])
    p = c.pool("maxpool", n, (3, 3), stride=[2, 2], pads=[1, 1, 1, 1], dilation=[1, 1])
    n = c.neurons(c.conv(p, 4, 4, (2, 2)), theta=[1.5])
    h, w = c.measure()[-1][1:]
    c.classify(n, 4, h, w)
    yield c

    c = Case("maxpool-of-pooled-counts", (1, 5, 5))
    n = c.neurons(c.conv(0, 3, 1, (2, 2)), theta=[1.0])
    p = c.pool("maxpool", c.pool("avgpool", n, (2, 2)), (2, 2), dilation=[1, 2])
    n = c.neurons(p, theta=[0.5])
    h, w = c.measure()[-1][1:]
    c.classify(n, 3, h, w)
    yield c

    for op in ("maxpool", "avgpool"):
        c = Case(op + "-dilation-pads", (1, 5, 6))
        n = c.neurons(c.conv(0, 3, 1, pads=[1, 1, 1, 1]), theta=[1.0])
        p = c.pool(op, n, (2, 2), stride=[1, 2], pads=[1, 1, 1, 0], dilation=[3, 2])
        n = c.neurons(p, theta=[1.0])
        h, w = c.measure()[-1][1:]
        c.classify(n, 3, h, w)
        yield c

    c = Case("maxpool-on-image", (2, 5, 4))
    p = c.pool("maxpool", 0, (3, 2), stride=[2, 1], pads=[1, 0, 1, 1])
    n = c.neurons(c.conv(p, 3, 2, (2, 2)), theta=[4.0])
    h, w = c.measure()[-1][1:]
    c.classify(n, 3, h, w)
    yield c

    c = Case("maxpool-last", (1, 3, 3))
    n = c.neurons(c.conv(0, 4, 1, pads=[1, 1, 1, 1]), theta=[1.0])
    c.pool("maxpool", c.conv(n, 3, 4, (1, 1)), (3, 3))
    yield c


def residuals():
    c = Case("add-conv-shortcut", (2, 4, 4))
    n = c.neurons(c.conv(0, 4, 2, pads=[1, 1, 1, 1]), theta=[1.0])
    branch = c.neurons(c.conv(n, 4, 4, stride=[2, 2], pads=[1, 1, 1, 1]), theta=[2.0])
    n = c.neurons(c.add(c.conv(branch, 4, 4, pads=[1, 1, 1, 1]), c.conv(n, 4, 4, (1, 1), stride=[2, 2])), theta=[1.5])
    c.classify(n, 4, 2, 2)
    yield c

    c = Case("add-identity-shortcut", (2, 3, 3))
    n = c.neurons(c.conv(0, 4, 2, pads=[1, 1, 1, 1]), theta=[1.0])
    branch = c.neurons(c.conv(n, 4, 4, pads=[1, 1, 1, 1]), theta=[2.0])
    n = c.neurons(c.add(c.conv(branch, 4, 4, pads=[1, 1, 1, 1]), n), theta=[1.5])
    c.classify(n, 4, 3, 3)
    yield c

    c = Case("add-two-thresholds", (1, 3, 3))  # two branches of spikes worth different amounts, 67 channels wide
    a = c.neurons(c.conv(0, 67, 1, (2, 2)), theta=[0.5])
    b = c.neurons(c.conv(0, 67, 1, (2, 2)), theta=[2.0])
    n = c.neurons(c.add(a, b), theta=[1.5])
    c.conv(n, 3, 67, (2, 2), zeros=0.5)
    yield c

    c = Case("add-three-branches", (2, 3, 3))
    a = c.neurons(c.conv(0, 3, 2, (2, 2)), theta=[1.0])
    b = c.neurons(c.conv(0, 3, 2, (2, 2)), theta=[2.0])
    n = c.neurons(c.add(c.conv(a, 3, 3, (1, 1)), b, c.conv(0, 3, 2, (2, 2))), theta=[1.0])
    c.classify(n, 3, 2, 2)
    yield c

    c = Case("add-nested", (2, 3, 3))
    a = c.neurons(c.conv(0, 3, 2, (2, 2)), theta=[1.0])
    b = c.neurons(c.conv(0, 3, 2, (2, 2)), theta=[2.0])
    inner = c.add(c.conv(a, 3, 3, (1, 1)), c.conv(b, 3, 3, (1, 1)))
    n = c.neurons(c.add(c.add(inner, a), b), theta=[2.0])
    c.classify(n, 3, 2, 2)
    yield c

    c = Case("add-read-twice", (2, 3, 3))  # a current that neurons and another sum read, as in pre-activation nets
    a = c.neurons(c.conv(0, 3, 2, (2, 2)), theta=[1.0])
    total = c.add(c.conv(a, 3, 3, (1, 1)), a)
    b = c.neurons(total, theta=[2.0])
    n = c.neurons(c.add(c.conv(b, 3, 3, (1, 1)), total), theta=[1.0])
    c.classify(n, 3, 2, 2)
    yield c

    c = Case("add-same-twice", (1, 3, 3))
    a = c.neurons(c.conv(0, 3, 1, (2, 2)), theta=[1.0])
    n = c.neurons(c.add(a, a), theta=[3.0])
    c.classify(n, 3, 2, 2)
    yield c

    c = Case("add-last", (2, 3, 3))
    a = c.neurons(c.conv(0, 4, 2), theta=[1.0])
    b = c.neurons(c.conv(0, 4, 2), theta=[0.5])
    c.add(c.conv(a, 4, 4, (1, 1)), b)
    yield c

    c = Case("conv-read-twice", (2, 3, 3))
    a = c.neurons(c.conv(0, 4, 2, pads=[1, 1, 1, 1]), theta=[1.0])
    shared = c.conv(a, 4, 4, (2, 2))
    n = c.neurons(c.add(c.neurons(shared, theta=[1.0]), c.neurons(shared, theta=[2.0])), theta=[2.0])
    c.classify(n, 4, 2, 2)
    yield c

    c = Case("conv-of-conv", (2, 3, 3))  # a linear value reaches a convolution: graded, counted as MACs every step
    a = c.neurons(c.conv(0, 4, 2, pads=[1, 1, 1, 1]), theta=[1.0])
    n = c.neurons(c.conv(c.conv(a, 3, 4, (1, 1)), 6, 3, (2, 2), groups=3, pads=[1, 0, 0, 0]), theta=[1.0])
    h, w = c.measure()[-1][1:]
    c.classify(n, 6, h, w)
    yield c

    c = Case("conv-of-conv-pooled", (2, 4, 4))  # the same, stored for a pool: still charged to the neurons behind it
    a = c.neurons(c.conv(0, 4, 2, pads=[1, 1, 1, 1]), theta=[1.0])
    b = c.conv(c.conv(a, 3, 4, (1, 1)), 3, 3, (2, 2))
    n = c.neurons(c.pool("maxpool", b, (2, 2)), theta=[1.0])
    c.classify(n, 3, 2, 2)
    yield c


def wires():
    c = Case("concat", (2, 3, 3))  # two layers of spikes, worth different amounts a channel
    a = c.neurons(c.conv(0, 3, 2, (2, 2)), theta=[0.5, 1.0, 2.0])
    b = c.neurons(c.conv(0, 4, 2, (2, 2)), theta=[1.5])
    n = c.neurons(c.conv(c.concat(a, b), 4, 7, (1, 1)), theta=[1.0])
    c.classify(n, 4, 2, 2)
    yield c

    c = Case("concat-across-words", (1, 2, 2))  # 40, 70 and 3 channels: words of spikes are put together from two
    a = c.neurons(c.conv(0, 40, 1, (1, 2)), theta=[0.5])
    b = c.neurons(c.conv(0, 70, 1, (1, 2)), theta=[1.0])
    d = c.neurons(c.conv(0, 3, 1, (1, 2)), theta=[0.25])
    c.conv(c.concat(a, b, d, a), 2, 153, (2, 1), zeros=0.6)
    yield c

    c = Case("concat-counts", (1, 4, 4))  # averaged spikes: counts of different shares
    n = c.neurons(c.conv(0, 3, 1, pads=[1, 1, 1, 1]), theta=[1.0])
    joined = c.concat(c.pool("avgpool", n, (2, 2), stride=[2, 2]), c.pool("avgpool", n, (1, 4), stride=[2, 1], pads=[0, 1, 0, 0],
                                                                          count_include_pad=True))
    n = c.neurons(c.conv(joined, 3, 6, (1, 1), denominator=4), theta=[0.5])
    c.classify(n, 3, 2, 2)
    yield c

    c = Case("concat-spikes-and-counts", (2, 4, 4))
    n = c.neurons(c.conv(0, 3, 2, (3, 3)), theta=[1.0])
    m = c.neurons(c.conv(0, 2, 2, stride=[2, 2], pads=[1, 1, 1, 1]), theta=[2.0])
    joined = c.concat(c.pool("avgpool", n, (2, 1), pads=[1, 0, 0, 0], count_include_pad=True), m)
    c.classify(c.neurons(joined, theta=[0.5, 1.0, 0.5, 1.0, 2.0]), 5, 2, 2)
    yield c

    c = Case("concat-graded", (2, 3, 3))  # a current, the image, spikes and a maximum: all become graded
    n = c.neurons(c.conv(0, 3, 2, pads=[1, 1, 1, 1]), theta=[1.0])
    joined = c.concat(c.conv(n, 2, 3, (1, 1)), 0, n, c.pool("maxpool", n, (3, 3), pads=[1, 1, 1, 1]))
    n = c.neurons(c.conv(joined, 4, 10, (2, 2)), theta=[4.0])
    c.classify(n, 4, 2, 2)
    yield c

    c = Case("concat-of-image", (2, 3, 3))  # constant in time
    c.classify(c.neurons(c.concat(c.conv(0, 3, 2, (1, 1)), 0)), 5, 3, 3)
    yield c

    c = Case("concat-dense-block", (2, 3, 3))  # normalisation, activation, convolution, joined with what came before
    stem = c.conv(0, 4, 2, (2, 2), low=-1, high=2, denominator=1)
    joined = c.concat(stem, c.conv(c.neurons(stem, theta=[4.0]), 3, 4, (1, 1), denominator=2))
    n = c.neurons(c.conv(joined, 7, 7, (1, 1), groups=7, low=1, denominator=4), theta=[1.0])
    joined = c.concat(joined, c.conv(n, 3, 7, (1, 1), denominator=2))
    n = c.neurons(c.conv(joined, 10, 10, (1, 1), groups=10, low=1, denominator=2), theta=[1.0])
    c.classify(n, 10, 2, 2)
    yield c

    c = Case("concat-then-maxpool", (2, 4, 4))  # the maximum of cumulated spikes
    a = c.neurons(c.conv(0, 3, 2, pads=[1, 1, 1, 1]), theta=[1.0])
    b = c.neurons(c.conv(0, 4, 2, pads=[1, 1, 1, 1]), theta=[2.0])
    n = c.neurons(c.pool("maxpool", c.concat(a, b), (2, 2), stride=[2, 2]), theta=[1.0])
    c.classify(n, 7, 2, 2)
    yield c

    c = Case("concat-last", (2, 3, 3))
    a = c.neurons(c.conv(0, 3, 2, (2, 2)), theta=[1.0])
    c.concat(c.conv(a, 2, 3, (2, 2)), c.pool("avgpool", a, (2, 2)))
    yield c

    c = Case("slice-padded-shortcut", (2, 5, 5))  # every second row and column, zeros around the channels: ResNets for CIFAR
    n = c.neurons(c.conv(0, 4, 2, pads=[1, 1, 1, 1]), theta=[1.0])
    branch = c.neurons(c.conv(n, 8, 4, stride=[2, 2], pads=[1, 1, 1, 1]), theta=[2.0])
    short = c.slice(c.slice(n, (4, 3, 3), step=[2, 2]), (8, 3, 3), zeros=[2, 0, 0])
    n = c.neurons(c.add(c.conv(branch, 8, 8, pads=[1, 1, 1, 1]), short), theta=[1.5])
    c.classify(n, 8, 3, 3)
    yield c

    c = Case("slice-across-words", (1, 2, 2))  # channels 60 to 129 of 130, then zeros before and behind them
    n = c.neurons(c.conv(0, 130, 1, (1, 2)), theta=[0.5])
    s = c.slice(c.slice(n, (70, 2, 1), start=[60, 0, 0]), (150, 2, 1), zeros=[62, 0, 0])
    c.conv(s, 2, 150, (2, 1), zeros=0.6)
    yield c

    c = Case("slice-halves", (2, 4, 4))  # channels split, one half processed, joined again
    n = c.neurons(c.conv(0, 6, 2, pads=[1, 1, 1, 1]), theta=[1.0])
    a, b = c.slice(n, (3, 4, 4)), c.slice(n, (3, 4, 4), start=[3, 0, 0])
    b = c.neurons(c.conv(b, 3, 3, groups=3, pads=[1, 1, 1, 1]), theta=[0.5])
    c.classify(c.concat(a, b), 6, 4, 4)
    yield c

    c = Case("slice-of-counts", (1, 6, 4))  # rows cut off at both ends, zeros on every side
    n = c.neurons(c.conv(0, 3, 1, pads=[1, 1, 1, 1]), theta=[1.0])
    s = c.slice(c.pool("avgpool", n, (2, 2)), (2, 3, 5), start=[1, 1, 0], step=[1, 2], zeros=[0, 0, 1])
    n = c.neurons(c.conv(c.slice(s, (4, 5, 7), zeros=[1, 1, 1]), 3, 4, (2, 2), denominator=4), theta=[0.5])
    h, w = c.measure()[-1][1:]
    c.classify(n, 3, h, w)
    yield c

    c = Case("slice-of-current", (2, 4, 5))  # graded; and a piece of the image, which is constant
    n = c.neurons(c.conv(0, 4, 2, pads=[1, 1, 1, 1]), theta=[1.0])
    a = c.slice(c.conv(n, 5, 4, (1, 1)), (3, 2, 2), start=[2, 1, 2], step=[2, 2])
    b = c.slice(0, (3, 2, 2), start=[0, 1, 1], step=[3, 1], zeros=[1, 0, 1])
    c.classify(c.neurons(c.add(a, b), theta=[1.0]), 3, 2, 2)
    yield c

    c = Case("slice-zeros-then-neurons", (1, 3, 3))  # zeros around a current, which the neurons see
    n = c.neurons(c.conv(0, 3, 1, (2, 2)), theta=[1.0])
    n = c.neurons(c.slice(c.conv(n, 3, 3, (1, 1)), (3, 4, 4), zeros=[0, 1, 1]), theta=[0.5])
    c.classify(c.pool("maxpool", n, (2, 2), stride=[2, 2]), 3, 2, 2)
    yield c


def neurons():
    c = Case("threshold-per-channel", (2, 3, 3))
    n = c.neurons(c.conv(0, 5, 2, (2, 2)), theta=[0.5, 1.0, 1.5, 2.0, 0.25])
    n = c.neurons(c.conv(n, 3, 5, (1, 1)), theta=[0.25, 0.5, 1.0])
    c.classify(n, 3, 2, 2)
    yield c

    c = Case("threshold-per-channel-pooled", (1, 3, 3))
    n = c.neurons(c.conv(0, 66, 1, (2, 2)), theta=[0.5 + 0.25 * (k % 5) for k in range(66)])
    c.conv(c.pool("avgpool", n, (2, 2)), 3, 66, (1, 1))
    yield c

    c = Case("fire-reset-amplitude-differ", (2, 3, 3))  # as directly trained networks have them
    n = c.neurons(c.conv(0, 5, 2, (2, 2)), theta=[1.0], fire=[0.5], amplitude=[2.0])
    n = c.neurons(c.conv(n, 3, 5, (1, 1)), theta=[2.0, 0.5, 1.0], fire=[1.0, 2.0, 0.25], amplitude=[1.0, 0.5, 4.0])
    c.classify(n, 3, 2, 2)
    yield c

    c = Case("neurons-on-image", (3, 2, 2), pixel=(-2, 8, 8))
    c.classify(c.neurons(0, theta=[0.5, 1.0, 2.0]), 3, 2, 2)
    yield c

    c = Case("neurons-on-neurons", (1, 2, 2), pixel=(0, 8, 8))
    n = c.neurons(c.neurons(c.conv(0, 3, 1, (1, 1), low=1), theta=[1.0]), theta=[1.5])
    c.classify(n, 3, 2, 2)
    yield c

    c = Case("clipped", (2, 3, 3))  # the clip is the float network's; spikes saturate at the threshold anyway
    n = c.neurons(c.conv(0, 4, 2, (2, 2)), theta=[0.5], clip=0.5)
    c.classify(n, 4, 2, 2)
    yield c

    c = Case("no-neurons", (2, 3, 3))
    c.classify(c.pool("maxpool", c.conv(0, 4, 2, pads=[1, 1, 1, 1]), (2, 2)), 4, 2, 2)
    yield c

    c = Case("no-neurons-sum", (2, 3, 3))
    c.add(c.conv(0, 4, 2), c.conv(0, 4, 2), c.pool("avgpool", c.conv(0, 4, 2, (2, 2)), (2, 2)))
    yield c


NEURONS = ("if", "if-hard", "lif", "lif-soft", "srif", "srif-mpr", "asg", "if-signed")


def every_neuron(c):
    """Runs of every neuron model; T, tau and shift such that nothing rounds."""
    for neuron in NEURONS:
        checkpoints = [8] if neuron == "asg" else [2, 4] if neuron == "lif-soft" else [3, 8]
        for init, shift in (("zero", 0), ("half", 1), ("weights", 0)):
            c.runs.append({"neuron": neuron, "init": init, "checkpoints": checkpoints, "shift": shift})
            if neuron.startswith("lif"):
                c.runs[-1]["tau"] = 0.5
    return c


def neuron_models():
    """Every neuron model behind pools, sums and firing levels of their own. Few images: the runs are many."""
    def case(name, shape, **more):
        return Case("neurons-" + name, shape, images=2, **more)

    c = case("avgpool", (1, 4, 4))
    n = c.neurons(c.conv(0, 4, 1, (2, 2)), theta=[1.0])
    p = c.pool("avgpool", n, (2, 2))
    n = c.neurons(c.conv(p, 4, 4, (1, 1), denominator=4), theta=[0.5])
    c.classify(n, 4, 2, 2, classes=2)
    yield every_neuron(c)

    c = case("avgpool-pads", (1, 3, 3))  # a divisor of its own for every window: graded
    n = c.neurons(c.conv(0, 2, 1, (2, 2)), theta=[1.0])
    n = c.neurons(c.pool("avgpool", n, (2, 2), pads=[1, 1, 0, 0]), theta=[0.5])
    c.classify(n, 2, 2, 2, classes=2)
    yield every_neuron(c)

    c = case("maxpool", (1, 4, 4))
    n = c.neurons(c.pool("maxpool", c.conv(0, 2, 1, (2, 2)), (2, 2)), theta=[1.0, 2.0])
    n = c.neurons(c.pool("maxpool", c.conv(n, 4, 2, (1, 1)), (2, 1)), theta=[1.0])
    c.classify(n, 4, 1, 2, classes=2)
    yield every_neuron(c)

    c = case("maxpool-on-spikes", (1, 4, 4))
    n = c.neurons(c.conv(0, 2, 1, (2, 2)), theta=[1.0])
    p = c.pool("maxpool", n, (2, 2), pads=[0, 0, 1, 1], stride=[2, 2])
    n = c.neurons(c.conv(p, 4, 2, (2, 2)), theta=[1.0])
    c.conv(n, 2, 4, (1, 1))
    yield every_neuron(c)

    c = case("add-identity", (1, 2, 2))
    n = c.neurons(c.conv(0, 4, 1, (1, 1)), theta=[0.5, 1.0, 0.25, 2.0])
    m = c.neurons(c.add(c.conv(n, 4, 4, (1, 1)), n), theta=[1.0])
    c.add(c.pool("avgpool", m, (2, 2)), c.conv(m, 4, 4, (2, 2)))
    yield every_neuron(c)

    c = case("levels", (1, 2, 2))  # as directly trained networks have them
    n = c.neurons(c.conv(0, 4, 1, (1, 1)), theta=[1.0], fire=[0.5], amplitude=[2.0])
    n = c.neurons(c.conv(n, 4, 4, (2, 2)), theta=[2.0, 0.5, 1.0, 1.0], fire=[1.0, 0.5, 0.5, 0.25])
    c.conv(n, 2, 4, (1, 1))
    yield every_neuron(c)


def main():
    shutil.rmtree(CASES, ignore_errors=True)
    for family in (convolutions, pools, residuals, wires, neurons, neuron_models):
        for case in family():
            case.write()


if __name__ == "__main__":
    main()
