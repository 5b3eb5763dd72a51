"""A golden case: a tiny network of dyadic numbers under construction (so that any order of additions gives the same float32),
up to three images, and the answers of reference.py, written as files. Every case is checked to be worth something: all its
neuron layers fire, and under `if` none all the time.
"""
import json
import pathlib
import random

import numpy as np

import reference

CASES = pathlib.Path(__file__).parent / "cases"
CHECKPOINTS = [1, 2, 5, 16, 17, 33]
IMAGES = 3


class Case:
    """A network under construction; every method appends a layer and returns its index."""

    def __init__(self, name, shape, pixel=(-4, 8, 4), images=IMAGES, mean=None, std=None, output=None):
        """pixel: low, high and denominator of the images' numbers; output: the last layer's threshold."""
        self.name, self.random, self.graph, self.tensors, self.shapes = name, random.Random(name), [], {}, []
        self.pixel, self.images, self.runs = pixel, images, []
        self.about = {"mean": mean, "std": std, "output": output}
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
        reference.write_model(folder / "model.safetensors", self.graph, self.tensors, name=self.name, **self.about)
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
        runs = [network.run(image, init, checkpoints, neuron, number=i, **options) for i, image in enumerate(images)]
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
