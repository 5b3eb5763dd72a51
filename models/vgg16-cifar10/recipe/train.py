#!/usr/bin/env python3
"""Train or fine-tune a CNN whose activations suit few timesteps, and write it as ONNX.

    train.py --network vgg16 --activation quantised --levels 4 --start vgg16-cifar10.onnx --data CIFAR --out out

Networks: vgg16 and resnet20 for CIFAR-10 (binary batches), lenet for MNIST digits (IDX files).
Activations, theta learned per layer:

    relu        max(0, x)
    clip        min(max(0, x), theta)                              threshold ReLU, Deng and Gu 2021
    quantised   theta clip(floor(x L / theta + 1/2), 0, L) / L      QCFS (Bu et al. 2022); gradient straight through the floor
    vr          floor(clip(x, Tmin / Tq, Tmax / Tq) Tq) / Tq        value range (Yan, Zhou and Wong); Tq = --levels, no theta

A quantised layer goes into the ONNX file as what it is (or, with --export clip, as a clip): `snn convert` makes
neurons of it that fire at theta, once a level; the 1/2 in the rounding is a start at theta/2. `--ice` puts input channel
expansion (Yan, Zhou and Wong, Algorithm 3) in front: the pixels in [0, 1], not normalised, quantised at T, T + 1 and
T - 1 levels with T = Tmax - Tmin, as three times the channels in this order. `--start` takes convolutions and the classifier from an
ONNX file of the same architecture, in the order of its nodes; batch normalisation is put back in front
of every activation such that the network answers as before, and folded again before the export.

Writes OUT/model.onnx, OUT/labels.txt and OUT/training.json, and OUT/best.pt while it trains. Runs on
the CPU; needs torch, numpy and onnx. Test images choose nothing: the checkpoint kept is the last.
"""
import argparse
import glob
import json
import os
import sys
import time

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from torch import nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval

SETS = {
    "cifar10": {"mean": (0.4914, 0.4822, 0.4465), "std": (0.2470, 0.2435, 0.2616), "crop": 4, "flip": True,
                "labels": "airplane automobile bird cat deer dog frog horse ship truck".split()},
    "digits": {"mean": (0.1307,), "std": (0.3081,), "crop": 2, "flip": False, "labels": [str(d) for d in range(10)]},
}


# ---- activations ----------------------------------------------------------------------------

class Floor(torch.autograd.Function):
    """floor(x); gradient of the identity (straight through)."""
    @staticmethod
    def forward(ctx, x):
        return x.floor()

    @staticmethod
    def backward(ctx, grad):
        return grad


def quantise(x, theta, levels):
    """theta clip(floor(x L / theta + 1/2), 0, L) / L; x and theta get gradients."""
    return theta * Floor.apply((x / theta).clamp(0, 1) * levels + 0.5) / levels


class Activation(nn.Module):
    def __init__(self, kind, levels, t_min, t_max):
        super().__init__()
        self.kind, self.levels, self.bounds, self.exporting = kind, levels, (t_min / levels, t_max / levels), ""
        if self.fits:
            self.theta = nn.Parameter(torch.tensor(1.0))

    @property
    def fits(self):
        """Has a theta that fit() finds."""
        return self.kind in ("clip", "quantised")

    def forward(self, x):
        if self.kind == "relu":
            return F.relu(x)
        if self.kind == "vr":
            floor = torch.floor if self.exporting else Floor.apply
            return floor(x.clamp(*self.bounds) * self.levels) / self.levels
        if self.exporting == "clip" or (self.exporting and self.kind == "clip"):
            return x.clamp(0.0, self.theta.item())
        if self.exporting:
            theta = self.theta.item()
            return torch.floor((x / theta).clamp(0.0, 1.0) * float(self.levels) + 0.5) * theta / float(self.levels)
        theta = self.theta.abs() + 1e-4
        return quantise(x, theta, self.levels) if self.kind == "quantised" else torch.minimum(F.relu(x), theta)

    @torch.no_grad()
    def fit(self, x):
        """theta with the least squared error of the activation over x, among 60 fractions of the largest value."""
        x = F.relu(x.flatten())
        x = x[torch.randperm(len(x))[:200000]]
        levels = self.levels if self.kind == "quantised" else 64
        candidates = x.max() * torch.linspace(0.05, 1, 60)
        errors = [(quantise(x, c, levels) - x).square().mean() for c in candidates]
        self.theta.fill_(candidates[int(torch.stack(errors).argmin())])


class Expansion(nn.Module):
    """ICE: pixels at T, T + 1 and T - 1 levels, t / (T +- 1) taken for t / T and bounded by 1."""
    def __init__(self, timesteps):
        super().__init__()
        self.timesteps = timesteps

    def forward(self, x):
        t = float(self.timesteps)       # each branch bounds the pixels itself: a run of nodes of its own in the file
        return torch.cat([torch.floor(x.clamp(0.0, 1.0) * n).clamp(0.0, t) / t for n in (t, t + 1, t - 1)], 1)


# ---- networks -------------------------------------------------------------------------------

class Unit(nn.Module):
    """Convolution and batch normalisation. `conv`s are registered in the order in which they run."""
    def __init__(self, n_in, n_out, side, stride=1, pad=None):
        super().__init__()
        self.conv = nn.Conv2d(n_in, n_out, side, stride, side // 2 if pad is None else pad, bias=False)
        self.norm = nn.BatchNorm2d(n_out)

    def forward(self, x):
        return self.norm(self.conv(x))

    def fold(self):
        self.conv, self.norm = fuse_conv_bn_eval(self.conv, self.norm), nn.Identity()


class Block(nn.Module):
    """Basic residual block; a 1x1 convolution as shortcut where the shape changes."""
    def __init__(self, n_in, n_out, stride, act):
        super().__init__()
        self.first, self.act1 = Unit(n_in, n_out, 3, stride), act()
        self.second = Unit(n_out, n_out, 3)
        self.shortcut = Unit(n_in, n_out, 1, stride) if stride > 1 or n_in != n_out else nn.Identity()
        self.act2 = act()

    def forward(self, x):
        return self.act2(self.second(self.act1(self.first(x))) + self.shortcut(x))


def build(name, width, act, ice=0):
    """ice: T of the input channel expansion; 0: none."""
    layers, times = [Expansion(ice)] if ice else [], 3 if ice else 1
    if name == "vgg16":
        n_in = 3 * times
        for count, n_out in ((2, 64), (2, 128), (3, 256), (3, 512), (3, 512)):
            for _ in range(count):
                layers += [Unit(n_in, int(n_out * width), 3), act()]
                n_in = int(n_out * width)
            layers.append(nn.AvgPool2d(2))
        return nn.Sequential(*layers, nn.Flatten(), nn.Linear(n_in, 10))
    if name == "resnet20":
        n_in = int(16 * width)
        layers += [Unit(3 * times, n_in, 3), act()]
        for i, n_out in enumerate((16, 32, 64)):
            for j in range(3):
                layers.append(Block(n_in, int(n_out * width), 2 if i and not j else 1, act))
                n_in = int(n_out * width)
        return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(n_in, 10))
    n_in = times    # lenet: Yan, Zhou and Wong, Table 2
    for n_out, stride in ((32, 1), (32, 1), (32, 2), (64, 1), (64, 1), (64, 2)):
        layers += [Unit(n_in, int(n_out * width), 3, stride), act()]
        n_in = int(n_out * width)
    return nn.Sequential(*layers, Unit(n_in, int(128 * width), 7, pad=0), act(), nn.Flatten(), nn.Linear(int(128 * width), 10))


def of_kind(net, kind):
    return [m for m in net.modules() if isinstance(m, kind)]


def load_start(net, path):
    """Weights of path's Conv and Gemm nodes, in their order, into net's. The biases, one per Unit."""
    graph = onnx.load(path).graph
    values = {t.name: torch.from_numpy(numpy_helper.to_array(t).copy()) for t in graph.initializer}
    nodes = [n for n in graph.node if n.op_type in ("Conv", "Gemm")]
    mine = of_kind(net, nn.Conv2d) + of_kind(net, nn.Linear)
    if len(nodes) != len(mine):
        sys.exit(f"{path}: {len(nodes)} layers with weights, the network has {len(mine)}")
    biases = []
    for node, layer in zip(nodes, mine):
        weight, bias = (values.get(name) for name in node.input[1:3])
        if weight is None or bias is None or weight.shape != layer.weight.shape:
            sys.exit(f"{path}: node {node.name} does not have the weights {list(layer.weight.shape)} and a bias")
        layer.weight.data.copy_(weight)
        biases.append(bias)
    of_kind(net, nn.Linear)[0].bias.data.copy_(biases.pop())
    return biases


@torch.no_grad()
def settle(net, x, biases):
    """Give every normalisation the statistics of x and an affine that takes it back: the network answers as
    its folded form did. Fit every theta on the way. Units run in the order of their registration."""
    hooks = []
    for unit, bias in zip(of_kind(net, Unit), biases):
        def set_norm(norm, args, bias=bias):
            mean, var = args[0].mean((0, 2, 3)), args[0].var((0, 2, 3), unbiased=False)
            norm.running_mean.copy_(mean)
            norm.running_var.copy_(var)
            norm.weight.copy_((var + norm.eps).sqrt())
            norm.bias.copy_(bias + mean)
        hooks.append(unit.norm.register_forward_pre_hook(set_norm))
    for act in of_kind(net, Activation):
        if act.fits:
            hooks.append(act.register_forward_pre_hook(lambda a, args: a.fit(args[0])))
    net.eval()
    net(x)
    for hook in hooks:
        hook.remove()


def fit_thetas(net, x):
    hooks = [a.register_forward_pre_hook(lambda a, args: a.fit(args[0]))
             for a in of_kind(net, Activation) if a.fits]
    with torch.no_grad():
        net.train()(x)
    for hook in hooks:
        hook.remove()


# ---- data -----------------------------------------------------------------------------------

def idx_array(path):
    with open(path, "rb") as f:
        raw = f.read()
    if raw[:3] != b"\0\0\x08":
        sys.exit(f"{path}: not an IDX file of bytes")
    shape = np.frombuffer(raw, ">u4", raw[3], 4)
    return np.frombuffer(raw, np.uint8, offset=4 + 4 * raw[3]).reshape(shape).copy()


def read_images(folder, digits, starts):
    """uint8 [n,c,h,w] and labels [n] of the files in folder whose names begin with one of starts."""
    paths = sorted(p for s in starts for p in glob.glob(os.path.join(glob.escape(folder), s + "*")))
    if digits:
        images, labels = ([idx_array(p) for p in paths if kind in os.path.basename(p)] for kind in ("images", "labels"))
        if len(images) != 1 or len(labels) != 1:
            sys.exit(f"{folder}: want one pair of IDX files {' or '.join(starts)}*")
        return images[0][:, None], labels[0].astype(np.int64)
    records = [np.fromfile(p, np.uint8).reshape(-1, 3073) for p in paths if p.endswith(".bin")]
    if not records:
        sys.exit(f"{folder}: no {' or '.join(starts)}*.bin")
    records = np.concatenate(records)
    return records[:, 1:].reshape(-1, 3, 32, 32), records[:, 0].astype(np.int64)


def prepare(images, settings):
    mean, std = (torch.tensor(settings[k])[:, None, None] for k in ("mean", "std"))
    x = (torch.from_numpy(images).float() / 255 - mean) / std
    return x.contiguous(memory_format=torch.channels_last)


def augment(images, settings, rng):
    """Flip half of the images [n,c,h,w] and shift each by up to `crop` pixels, zeros moving in."""
    n, (h, w), pad = len(images), images.shape[2:], settings["crop"]
    padded = np.pad(images, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    rows = rng.integers(0, 2 * pad + 1, n)[:, None] + np.arange(h)
    cols = rng.integers(0, 2 * pad + 1, n)[:, None] + np.arange(w)
    if settings["flip"]:
        flip = rng.random(n) < 0.5
        cols[flip] = cols[flip, ::-1]
    return padded[np.arange(n)[:, None, None], :, rows[:, :, None], cols[:, None, :]].transpose(0, 3, 1, 2)


# ---- training -------------------------------------------------------------------------------

@torch.no_grad()
def accuracy(net, images, labels, settings):
    net.eval()
    right = sum((net(prepare(images[i:i + 200], settings)).argmax(1).numpy() == labels[i:i + 200]).sum()
                for i in range(0, len(images), 200))
    return 100 * float(right) / len(images)


def train(net, images, labels, settings, a):
    """SGD; the rate falls as a cosine over --epochs or --minutes, whichever ends first. Steps done."""
    rng = np.random.default_rng(a.seed)
    thetas = [p for n, p in net.named_parameters() if n.endswith("theta")]
    rest = [p for n, p in net.named_parameters() if not n.endswith("theta")]
    optimizer = torch.optim.SGD([{"params": rest}, {"params": thetas, "weight_decay": 0}], a.rate, 0.9,
                                weight_decay=a.weight_decay, nesterov=True)
    begun, steps, total = time.time(), 0, a.epochs * (len(images) // a.batch)
    done, loss_mean, right = 0.0, 0.0, 0.0
    while done < 1 and steps < total:
        if steps % (len(images) // a.batch) == 0:
            order = rng.permutation(len(images))
        at = steps % (len(images) // a.batch) * a.batch
        done = max(steps / total, (time.time() - begun) / 60 / a.minutes)
        for group in optimizer.param_groups:
            group["lr"] = a.rate * min(1, 0.1 + steps / 50) * (0.5 + 0.5 * np.cos(np.pi * min(done, 1)))
        pick = order[at:at + a.batch]
        with torch.autocast("cpu", torch.bfloat16, enabled=a.bf16):
            scores = net.train()(prepare(augment(images[pick], settings, rng), settings)).float()
        loss = F.cross_entropy(scores, torch.from_numpy(labels[pick]))
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 2)
        optimizer.step()
        steps += 1
        loss_mean += (loss.item() - loss_mean) / min(steps, 100)
        right += ((scores.argmax(1).numpy() == labels[pick]).mean() - right) / min(steps, 100)
        if steps % 50 == 0:
            print(f"step {steps}/{total} {100 * done:.0f} %  loss {loss_mean:.4f}  augmented training accuracy "
                  f"{100 * right:.2f} %  {time.time() - begun:.0f} s", flush=True)
            torch.save(net.state_dict(), os.path.join(a.out, "best.pt"))
    return steps


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--network", choices=("vgg16", "resnet20", "lenet"), required=True)
    ap.add_argument("--activation", choices=("relu", "clip", "quantised", "vr"), default="quantised")
    ap.add_argument("--levels", type=int, default=4, help="L of `quantised`, Tq of `vr`; default %(default)s")
    ap.add_argument("--t-min", type=int, default=0, help="of `vr`; default %(default)s")
    ap.add_argument("--t-max", type=int, help="of `vr`; default: --levels")
    ap.add_argument("--ice", action="store_true", help="input channel expansion; convert with mean 0 and std 1")
    ap.add_argument("--export", choices=("quantised", "clip"), default="quantised", help="how `quantised` is written")
    ap.add_argument("--width", type=float, default=1, help="times as many channels; default %(default)s")
    ap.add_argument("--start", metavar="ONNX", help="begin from the weights of this file (normalisation folded)")
    ap.add_argument("--resume", metavar="PT", help="continue from this best.pt")
    ap.add_argument("--data", metavar="DIR", required=True, help="data_batch_*.bin, or train* IDX files for lenet")
    ap.add_argument("--test", metavar="DIR", help="test_batch.bin, or test* or t10k* IDX files; default: --data")
    ap.add_argument("--out", metavar="DIR", required=True)
    ap.add_argument("--epochs", type=float, default=10, help="default %(default)s; 0 only exports")
    ap.add_argument("--minutes", type=float, default=1e6, help="stop after so long, the rate having fallen by then")
    ap.add_argument("--rate", type=float, default=0.02, help="peak learning rate; default %(default)s")
    ap.add_argument("--weight-decay", type=float, default=5e-4)
    ap.add_argument("--batch", type=int, default=100)
    ap.add_argument("--seed", type=int, default=1)
    ap.add_argument("--threads", type=int, default=2)
    ap.add_argument("--bf16", action="store_true", help="train in bfloat16 where it serves: twice as fast on processors that have it (avx512_bf16)")
    a = ap.parse_args()
    begun = time.time()
    os.makedirs(a.out, exist_ok=True)
    torch.set_num_threads(a.threads)
    torch.manual_seed(a.seed)
    a.t_max = a.levels if a.t_max is None else a.t_max
    timesteps = a.t_max - a.t_min
    if timesteps < 1 or (a.ice and timesteps < 2):
        ap.error("T = --t-max - --t-min must be 1 at least, 2 with --ice")
    settings, digits = dict(SETS["digits" if a.network == "lenet" else "cifar10"]), a.network == "lenet"
    if a.ice:
        settings.update(mean=(0.0,) * len(settings["mean"]), std=(1.0,) * len(settings["std"]))
    images, labels = read_images(a.data, digits, ["train"] if digits else ["data_batch"])
    test_images, test_labels = read_images(a.test or a.data, digits, ["test", "t10k"])
    print(f"{len(images)} images to train on, {len(test_images)} to test with", flush=True)

    net = build(a.network, a.width, lambda: Activation(a.activation, a.levels, a.t_min, a.t_max),
                timesteps if a.ice else 0).to(memory_format=torch.channels_last)
    if a.start:
        settle(net, prepare(images[:500], settings), load_start(net, a.start))
        print(f"start: {accuracy(net, images[:1000], labels[:1000], settings):.2f} % of 1,000 training images", flush=True)
    elif not a.resume and a.activation in ("clip", "quantised"):
        fit_thetas(net, prepare(images[:500], settings))
    if a.resume:
        net.load_state_dict(torch.load(a.resume))
    steps = train(net, images, labels, settings, a) if a.epochs else 0

    trained = accuracy(net, test_images, test_labels, settings)
    for unit in of_kind(net.eval(), Unit):
        unit.fold()
    for act in of_kind(net, Activation):
        if act.fits:
            act.theta.data.abs_().add_(1e-4)
        act.exporting = a.export
    exported = accuracy(net, test_images, test_labels, settings)
    path = os.path.join(a.out, "model.onnx")
    net = net.to(memory_format=torch.contiguous_format)
    torch.onnx.export(net, torch.zeros(2, *images.shape[1:]), path, opset_version=13, input_names=["image"],
                      output_names=["scores"], dynamic_axes={"image": {0: "batch"}, "scores": {0: "batch"}})
    with open(os.path.join(a.out, "labels.txt"), "w") as f:
        f.write("".join(label + "\n" for label in settings["labels"]))
    report = {key: getattr(a, key) for key in ("network", "activation", "levels", "t_min", "t_max", "ice", "width", "epochs", "rate", "weight_decay",
                                               "batch", "seed", "threads", "bf16")}
    report.update({"start": os.path.basename(a.start or ""), "training_images": len(images), "steps": steps,
                   "epochs_done": round(steps * a.batch / len(images), 2), "test_images": len(test_images),
                   "test_accuracy_as_trained": trained, "test_accuracy_exported": exported,
                   "thetas": [round(t.theta.item(), 4) for t in of_kind(net, Activation) if t.fits],
                   "torch": torch.__version__, "seconds": round(time.time() - begun)})
    with open(os.path.join(a.out, "training.json"), "w") as f:
        json.dump(report, f, indent=1)
        f.write("\n")
    print(f"test accuracy as trained {trained:.2f} %, as exported {exported:.2f} %; {path}")


if __name__ == "__main__":
    main()
