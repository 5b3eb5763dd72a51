"""Cases of every kind of layer: what each of them is there for stands in its name."""
from case import Case


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
