#!/usr/bin/python3
"""Export the mainstream kinds of CNN with torch, for parity tests: export_networks.py FOLDER

FOLDER/networks/<name>/{model.onnx,input.f32,scores.f32}, as make_onnx_fixtures.py lays out its cases: small widths, random
weights from a fixed seed, batch statistics moved off their defaults, and the scores torch itself gives. Every network is
written three times, in the styles that exporters have had: at opset 9 to 12 with batch normalisation folded; at opset 13
to 17 (`-plain`) with every BatchNormalization left in its place; and, rewritten from that, at opset 20 (`-modern`) with
MatMul + Add, axes as inputs and all weights in an external file. Says nothing about accuracy.
"""
import pathlib
import sys
import warnings

import numpy as np
import onnx
import torch
import torch.nn as nn
import torch.nn.functional as F
from onnx import helper, numpy_helper


def conv_bn(n_in, n_out, kernel, stride=1, padding=None, groups=1):
    padding = kernel // 2 if padding is None else padding
    return nn.Sequential(nn.Conv2d(n_in, n_out, kernel, stride, padding, groups=groups, bias=False), nn.BatchNorm2d(n_out))


# ---- plain networks ----


def lenet():
    return nn.Sequential(nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.AvgPool2d(2), nn.Conv2d(6, 16, 5), nn.ReLU(),
                         nn.MaxPool2d(2), nn.Flatten(), nn.Linear(400, 60), nn.ReLU(), nn.Linear(60, 42), nn.ReLU(),
                         nn.Linear(42, 10)), (1, 28, 28)


def vgg16(width=4):
    layers, n_in = [], 3
    for item in (1, 1, "pool", 2, 2, "pool", 4, 4, 4, "pool", 8, 8, 8, "pool", 8, 8, 8, "pool"):
        if item == "pool":
            layers.append(nn.MaxPool2d(2))
        else:
            layers += [*conv_bn(n_in, item * width, 3), nn.ReLU(inplace=True)]
            n_in = item * width
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(n_in, 32), nn.ReLU(), nn.Dropout(), nn.Linear(32, 32), nn.ReLU(),
                         nn.Dropout(), nn.Linear(32, 10)), (3, 32, 32)


def cifarnet():
    """128C3-256C3-AP2-512C3-AP2-1024C3-512C3-1024FC-512FC-voting (Deng & Gu 2021, A.1), at a sixteenth of the width; with
    their threshold ReLU."""
    block = lambda n_in, n_out: [nn.Conv2d(n_in, n_out, 3, padding=1), nn.Hardtanh(0, 1)]
    return nn.Sequential(*block(3, 8), *block(8, 16), nn.AvgPool2d(2), *block(16, 32), nn.AvgPool2d(2), *block(32, 64),
                         *block(64, 32), nn.Flatten(), nn.Linear(512, 64), nn.Hardtanh(0, 1), nn.Linear(64, 32),
                         nn.Hardtanh(0, 1), nn.Linear(32, 10)), (3, 16, 16)


# ---- residual networks ----


class BasicBlock(nn.Module):
    def __init__(self, n_in, n_out, stride, shortcut):
        super().__init__()
        self.first, self.second = conv_bn(n_in, n_out, 3, stride), conv_bn(n_out, n_out, 3)
        self.stride, self.extra, self.shortcut = stride, n_out - n_in, None
        if shortcut == "conv" and (stride != 1 or n_in != n_out):
            self.shortcut = conv_bn(n_in, n_out, 1, stride)

    def forward(self, x):
        y = self.second(F.relu(self.first(x)))
        if self.shortcut is not None:
            x = self.shortcut(x)
        elif self.extra or self.stride != 1:  # He et al. 2015, option A
            x = F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.extra // 2, self.extra - self.extra // 2))
        return F.relu(x + y)


def residual(stem, n_in, stages, shortcut, head):
    blocks = []
    for n_out, n_blocks, stride in stages:
        for k in range(n_blocks):
            blocks.append(BasicBlock(n_in, n_out, stride if k == 0 else 1, shortcut))
            n_in = n_out
    return nn.Sequential(*stem, *blocks, *head, nn.Linear(n_in, 10))


def resnet20(shortcut, width=4):
    stages = [(width, 3, 1), (2 * width, 3, 2), (4 * width, 3, 2)]
    head = [nn.AvgPool2d(4), nn.Flatten()]
    return residual([*conv_bn(3, width, 3), nn.ReLU()], width, stages, shortcut, head), (3, 16, 16)


def resnet18(width=4):
    stem = [*conv_bn(3, width, 7, 2), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, 1)]
    stages = [(width, 2, 1), (2 * width, 2, 2), (4 * width, 2, 2), (8 * width, 2, 2)]
    return residual(stem, width, stages, "conv", [nn.AdaptiveAvgPool2d(1), nn.Flatten()]), (3, 64, 64)


# ---- depthwise, dense, parallel ----


class InvertedResidual(nn.Module):
    def __init__(self, n_in, n_out, stride, expand):
        super().__init__()
        wide = n_in * expand
        layers = [] if expand == 1 else [*conv_bn(n_in, wide, 1), nn.ReLU6(inplace=True)]
        layers += [*conv_bn(wide, wide, 3, stride, groups=wide), nn.ReLU6(inplace=True), *conv_bn(wide, n_out, 1)]
        self.layers, self.residual = nn.Sequential(*layers), stride == 1 and n_in == n_out

    def forward(self, x):
        return x + self.layers(x) if self.residual else self.layers(x)


class MobileNetV2(nn.Module):
    def __init__(self, width=4):
        super().__init__()
        n_in, blocks = width, [*conv_bn(3, width, 3, 2), nn.ReLU6(inplace=True)]
        for expand, n_out, n_blocks, stride in ((1, 1, 1, 1), (6, 1, 2, 1), (6, 2, 2, 2), (6, 4, 3, 2)):
            for k in range(n_blocks):
                blocks.append(InvertedResidual(n_in, n_out * width, stride if k == 0 else 1, expand))
                n_in = n_out * width
        self.features = nn.Sequential(*blocks, *conv_bn(n_in, 40, 1), nn.ReLU6(inplace=True))
        self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(40, 10))

    def forward(self, x):
        return self.classifier(self.features(x).mean([2, 3]))


class DenseLayer(nn.Module):
    def __init__(self, n_in, growth):
        super().__init__()
        self.norm1, self.conv1 = nn.BatchNorm2d(n_in), nn.Conv2d(n_in, 4 * growth, 1, bias=False)
        self.norm2, self.conv2 = nn.BatchNorm2d(4 * growth), nn.Conv2d(4 * growth, growth, 3, padding=1, bias=False)

    def forward(self, x):
        y = self.conv1(F.relu(self.norm1(x)))
        return torch.cat([x, self.conv2(F.relu(self.norm2(y)))], 1)


def densenet(growth=3, blocks=(3, 3, 3)):
    n, layers = 2 * growth, [nn.Conv2d(3, 2 * growth, 3, padding=1, bias=False)]
    for k, n_layers in enumerate(blocks):
        for _ in range(n_layers):
            layers.append(DenseLayer(n, growth))
            n += growth
        layers += [nn.BatchNorm2d(n), nn.ReLU()]
        if k + 1 < len(blocks):
            layers += [nn.Conv2d(n, n // 2, 1, bias=False), nn.AvgPool2d(2)]
            n //= 2
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(n, 10)), (3, 16, 16)


class RepBlock(nn.Module):
    """RepVGG as it is trained: 3x3, 1x1 and identity branches, each with its own normalisation."""

    def __init__(self, n_in, n_out, stride):
        super().__init__()
        self.three, self.one = conv_bn(n_in, n_out, 3, stride), conv_bn(n_in, n_out, 1, stride)
        self.identity = nn.BatchNorm2d(n_in) if stride == 1 and n_in == n_out else None

    def forward(self, x):
        y = self.three(x) + self.one(x)
        return F.relu(y if self.identity is None else y + self.identity(x))


def repvgg(width=6):
    plan = [(3, width, 2), (width, width, 1), (width, 2 * width, 2), (2 * width, 2 * width, 1),
            (2 * width, 4 * width, 2), (4 * width, 4 * width, 1)]
    return nn.Sequential(*[RepBlock(*p) for p in plan], nn.AdaptiveAvgPool2d(1), nn.Flatten(),
                         nn.Linear(4 * width, 10)), (3, 32, 32)


class Fire(nn.Module):
    def __init__(self, n_in, squeeze, expand):
        super().__init__()
        self.squeeze, self.one = nn.Conv2d(n_in, squeeze, 1), nn.Conv2d(squeeze, expand, 1)
        self.three = nn.Conv2d(squeeze, expand, 3, padding=1)

    def forward(self, x):
        x = F.relu(self.squeeze(x))
        return torch.cat([F.relu(self.one(x)), F.relu(self.three(x))], 1)


def squeezenet():
    """Concat of spikes, pooled with ceil_mode: maximum of cumulated spikes where the input is a Concat."""
    pool = lambda: nn.MaxPool2d(3, 2, ceil_mode=True)
    return nn.Sequential(nn.Conv2d(3, 12, 3, 2), nn.ReLU(), pool(), Fire(12, 4, 8), Fire(16, 4, 8), pool(), Fire(16, 6, 12),
                         nn.Dropout(), nn.Conv2d(24, 10, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten()), (3, 36, 36)


class SplitBlock(nn.Module):
    """Half of the channels pass by, as in ShuffleNetV2 and CSPNet (without the shuffle, a transposition of channels)."""

    def __init__(self, n):
        super().__init__()
        h = n // 2
        self.branch = nn.Sequential(*conv_bn(h, h, 1), nn.ReLU(), *conv_bn(h, h, 3, groups=h), *conv_bn(h, h, 1), nn.ReLU())

    def forward(self, x):
        a, b = x.chunk(2, 1)
        return torch.cat([self.branch(b), a], 1)


def splitnet(n=12):
    return nn.Sequential(*conv_bn(3, n, 3, 2), nn.ReLU(), *[SplitBlock(n) for _ in range(4)], nn.AdaptiveAvgPool2d(1),
                         nn.Flatten(), nn.Linear(n, 10)), (3, 16, 16)


NETWORKS = {  # name: (what makes it, opset of the folded form, opset of the plain form)
    "lenet": (lenet, 9, 17),
    "vgg16": (vgg16, 11, 15),
    "cifarnet": (cifarnet, 11, 13),
    "resnet20-conv": (lambda: resnet20("conv"), 10, 17),
    "resnet20-padded": (lambda: resnet20("padded"), 12, 16),
    "resnet18": (resnet18, 9, 14),
    "mobilenetv2": (lambda: (MobileNetV2(), (3, 24, 24)), 11, 17),
    "densenet": (densenet, 11, 13),
    "repvgg": (repvgg, 12, 17),
    "squeezenet": (squeezenet, 10, 17),
    "splitnet": (splitnet, 11, 17),
}


def unsettle(network):
    """Give batch normalisation statistics and factors as training leaves them, so that the activations stay of order 1."""
    for m in network.modules():
        if isinstance(m, nn.BatchNorm2d):
            nn.init.uniform_(m.weight, 0.7, 1.4)
            nn.init.uniform_(m.bias, -0.3, 0.3)
        elif isinstance(m, (nn.Conv2d, nn.Linear)):
            nn.init.kaiming_normal_(m.weight, nonlinearity="relu")
            if m.bias is not None:
                nn.init.uniform_(m.bias, -0.1, 0.1)


def settle(network, shape):
    """Move the running statistics to those of a batch of noise."""
    network.train()
    with torch.no_grad():
        for _ in range(20):
            network(torch.randn(16, *shape))
    return network.eval()


def modernise(source, folder):
    """What exporters write from 2025 on: no Gemm, lists as inputs, weights beside the model."""
    made = onnx.load(source)
    graph, nodes = made.graph, []
    tensors = {t.name: t for t in graph.initializer}
    for n in graph.node:
        attributes = {a.name: helper.get_attribute_value(a) for a in n.attribute}
        if n.op_type == "Gemm":
            x, w, b = n.input
            assert attributes["transB"] == 1 and attributes["alpha"] == attributes["beta"] == 1
            tensors[w].CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensors[w]).T.copy(), w))
            nodes += [helper.make_node("MatMul", [x, w], [n.output[0] + ".product"], n.name + "/MatMul"),
                      helper.make_node("Add", [n.output[0] + ".product", b], n.output, n.name + "/Add")]
            continue
        if n.op_type == "ReduceMean":
            axes = n.output[0] + ".axes"
            graph.initializer.append(numpy_helper.from_array(np.array(attributes["axes"], np.int64), axes))
            n.input.append(axes)
            n.attribute.remove(next(a for a in n.attribute if a.name == "axes"))
        nodes.append(n)
    del graph.node[:]
    graph.node.extend(nodes)
    made.opset_import[0].version, made.ir_version = 20, 9
    onnx.save_model(made, str(folder / "model.onnx"), save_as_external_data=True, location="weights.bin", size_threshold=64)


def main(root):
    torch.set_num_threads(1)  # sums in one order: the same bytes at every run
    warnings.filterwarnings("ignore")
    for seed, (name, (make, folded, plain)) in enumerate(NETWORKS.items()):
        torch.manual_seed(100 + seed)
        network, shape = make()
        unsettle(network)
        settle(network, shape)
        x = torch.randn(1, *shape)
        with torch.no_grad():
            scores = network(x)
        for folder, opset, training in ((root / "networks" / name, folded, torch.onnx.TrainingMode.EVAL),
                                        (root / "networks" / f"{name}-plain", plain, torch.onnx.TrainingMode.PRESERVE)):
            folder.mkdir(parents=True, exist_ok=True)
            torch.onnx.export(network, x, str(folder / "model.onnx"), opset_version=opset, training=training,
                              input_names=["image"], output_names=["scores"], dynamic_axes={"image": {0: "batch"}},
                              do_constant_folding=training == torch.onnx.TrainingMode.EVAL)
        modern = root / "networks" / f"{name}-modern"
        modern.mkdir(parents=True, exist_ok=True)
        (modern / "weights.bin").unlink(missing_ok=True)  # onnx appends
        modernise(root / "networks" / f"{name}-plain" / "model.onnx", modern)
        for style in ("", "-plain", "-modern"):
            folder = root / "networks" / (name + style)
            (folder / "input.f32").write_bytes(x[0].numpy().tobytes())
            (folder / "scores.f32").write_bytes(scores[0].numpy().tobytes())


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(pathlib.Path(sys.argv[1]))
