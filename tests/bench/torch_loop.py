#!/usr/bin/python3
"""PyTorch's side of a comparison: the spiking network of a model file as PyTorch users simulate it, layer by layer.

    torch_loop.py MODEL.safetensors INPUTS N THREADS

As in SpikingJelly's multi-step mode, a layer's synapses handle all T steps at once, as a batch of T x B, and only the
neurons loop over T. Integrate and fire, soft reset, from half the threshold; thresholds and weights are those of the file.
What is constant in time (the image, and what is linear in it alone) is computed once, which favours PyTorch.
Commands on standard input as driver.c has them: `run T FIRST B` and `spikes T I`.
"""
import sys
import time

import numpy as np
import torch
from torch.nn import functional as F

from model_file import read_model


def windowed(layer):
    return layer["kernel"], layer.get("stride", [1, 1]), layer.get("pads", [0] * 4), layer.get("dilation", [1, 1])


class Network:
    def __init__(self, path):
        _, self.graph, tensors = read_model(path)
        self.tensors = {}
        for name, values in tensors.items():
            array = values.transpose(3, 2, 0, 1) if name.endswith(".weight") else values  # HWIO to OIHW
            self.tensors[name] = torch.from_numpy(np.ascontiguousarray(array))

    def layer_tensor(self, layer, what):
        return self.tensors[layer["name"] + what]

    def levels(self, layer):
        theta = self.layer_tensor(layer, ".threshold")
        return [self.tensors.get(layer["name"] + end, theta).view(1, -1, 1, 1) for end in (".threshold", ".fire", ".amplitude")]

    def fire(self, layer, current, constant, steps):
        """Spikes [T*B,C,H,W] of currents: the loop over time."""
        theta, level, amplitude = self.levels(layer)
        steps_of = current.unsqueeze(0).expand(steps, *current.shape) if constant else \
            current.view(steps, -1, *current.shape[1:])
        v = theta / 2 + torch.zeros_like(steps_of[0])
        out = torch.empty(steps_of.shape)
        for t in range(steps):
            v = v + steps_of[t]
            spikes = (v >= level).to(v.dtype)
            v = v - spikes * theta
            out[t] = spikes
        return out.view(-1, *current.shape[1:]) * amplitude, out

    def pool(self, layer, x, constant, steps):
        (kh, kw), stride, (top, left, bottom, right), dilation = windowed(layer)
        if layer["op"] == "avgpool":
            assert (top, left) == (bottom, right), "one pad an axis"
            return F.avg_pool2d(x, (kh, kw), stride, (top, left), count_include_pad=layer.get("count_include_pad", False))
        if not constant:  # the maximum of the cumulated current, and what it grew by
            x = x.view(steps, -1, *x.shape[1:]).cumsum(0).flatten(0, 1)
        x = F.pad(x, (left, right, top, bottom), value=float("-inf"))
        x = F.max_pool2d(x, (kh, kw), stride, 0, dilation)
        if constant:
            return x
        x = x.view(steps, -1, *x.shape[1:])
        return torch.cat((x[:1], x[1:] - x[:-1])).flatten(0, 1)

    def piece(self, layer, x):
        c, h, w = layer["shape"]
        start, step, zeros = layer.get("start", [0] * 3), layer.get("step", [1, 1]), layer.get("zeros", [0] * 3)
        x = x[:, start[0]:start[0] + c - zeros[0], start[1]::step[0], start[2]::step[1]][:, :, :h - zeros[1], :w - zeros[2]]
        pad = [zeros[2], w - zeros[2] - x.shape[3], zeros[1], h - zeros[1] - x.shape[2], zeros[0], c - zeros[0] - x.shape[1]]
        return F.pad(x, pad)

    @torch.no_grad()
    def run(self, images, steps, count=False):
        """Scores [B,classes], and with `count` spikes [layers][B]."""
        values, constant, counted = [images], [True], []
        for layer in self.graph[1:]:
            x, op = [values[k] for k in layer["inputs"]], layer["op"]
            still = all(constant[k] for k in layer["inputs"])
            if not still:  # what is constant beside what is not: repeated
                x = [v if not constant[k] else v.repeat(steps, 1, 1, 1) for v, k in zip(x, layer["inputs"])]
            spikes = None
            if op == "conv":
                _, stride, (top, left, bottom, right), dilation = windowed(layer)
                v = x[0] if (top, left) == (bottom, right) else F.pad(x[0], (left, right, top, bottom))
                padding = (top, left) if v is x[0] else 0
                v = F.conv2d(v, self.layer_tensor(layer, ".weight"), self.layer_tensor(layer, ".bias"), stride, padding,
                             dilation, layer.get("groups", 1))
            elif op == "neuron":
                v, spikes = self.fire(layer, x[0], still, steps)
                still = False
            elif op in ("avgpool", "maxpool"):
                v = self.pool(layer, x[0], still, steps)
            elif op == "add":
                v = sum(x)
            elif op == "concat":
                v = torch.cat(x, 1)
            else:
                v = self.piece(layer, x[0])
            values.append(v)
            constant.append(still)
            counted.append(None if spikes is None or not count else spikes.sum((0, 2, 3, 4)).to(torch.int64))
        out = values[-1][:, :, 0, 0]
        scores = out if constant[-1] else out.view(steps, -1, out.shape[1]).mean(0)
        return scores, counted


def main():
    path, inputs, count, threads = sys.argv[1:]
    torch.set_num_threads(int(threads))
    network = Network(path)
    shape = network.graph[0]["shape"]
    images = torch.from_numpy(np.fromfile(inputs, "<f4").reshape(int(count), *shape))
    print("ready", flush=True)
    for line in sys.stdin:
        command, *numbers = line.split()
        if command == "run":
            steps, first, batch = map(int, numbers)
            cpu, begin = time.process_time_ns(), time.perf_counter_ns()
            network.run(images[first:first + batch], steps)
            print(time.perf_counter_ns() - begin, time.process_time_ns() - cpu, flush=True)
        elif command == "spikes":
            steps, i = map(int, numbers)
            _, counted = network.run(images[i:i + 1], steps, count=True)
            print(0, *(0 if c is None else int(c) for c in counted), flush=True)
        else:
            print("unknown", flush=True)


if __name__ == "__main__":
    main()
