"""Cases of run options: images sent as spikes, a last layer that fires. All neuron models meet them."""
from case import Case
from neuron_cases import NEURONS


def every_run(c, encodings=("direct",), readouts=("potential",), neurons=NEURONS):
    for neuron in neurons:
        checkpoints = [8] if neuron == "asg" else [2, 4] if neuron == "lif-soft" else [3, 8]
        for k, (encoding, readout) in enumerate((e, r) for e in encodings for r in readouts):
            init = "half" if (k + len(c.runs)) % 3 else "zero"
            c.runs.append({"neuron": neuron, "init": init, "checkpoints": checkpoints, "encoding": encoding, "readout": readout})
            if encoding == "rate":
                c.runs[-1]["seed"] = 7 + 4294967000 * (len(c.runs) % 2)
            if neuron.startswith("lif"):
                c.runs[-1]["tau"] = 0.5
    return c


def encodings():
    """What an image at rest is worth, -mean / std, must count inside the borders only."""
    def case(name, shape, **more):
        mean, std = [0.25, 0.5, 0.0][:shape[0]], [0.5, 0.25, 1.0][:shape[0]]
        return Case("encoding-" + name, shape, images=2, pixel=(-2, 6, 4), mean=mean, std=std, **more)

    c = case("conv", (2, 4, 3))  # uneven pads, stride, two words of output channels
    n = c.neurons(c.conv(0, 66, 2, (3, 2), stride=[2, 1], pads=[1, 1, 0, 1], zeros=0.5), theta=[1.0])
    h, w = c.measure()[-1][1:]
    c.classify(n, 66, h, w, classes=2)
    yield every_run(c, ("rate", "regular"), neurons=("if", "asg", "if-signed"))

    c = case("two-readers", (3, 3, 3))  # a residual around the first layer; the neurons see the image too
    a = c.neurons(c.conv(0, 3, 3, pads=[1, 1, 1, 1]), theta=[1.0])
    n = c.neurons(c.add(c.conv(a, 3, 3, (1, 1)), c.conv(0, 3, 3, (1, 1)), 0), theta=[1.0])
    c.classify(n, 3, 3, 3, classes=2)
    yield every_run(c, ("rate", "regular"))

    c = case("avgpool", (2, 4, 4))  # pooled spikes are counts, with zeros in the divisor at the borders
    p = c.pool("avgpool", 0, (2, 2), stride=[2, 2], pads=[1, 1, 1, 1], count_include_pad=True)
    n = c.neurons(c.conv(p, 3, 2, (2, 2), denominator=4), theta=[0.5])
    c.classify(n, 3, 2, 2, classes=2)
    yield every_run(c, ("rate", "regular"), neurons=("if", "asg", "if-signed"))

    c = case("graded", (2, 4, 4))  # an average of its own divisor at the borders, a maximum, a second convolution
    p = c.pool("avgpool", 0, (2, 2), stride=[2, 2], pads=[1, 1, 1, 1])
    q = c.pool("maxpool", 0, (2, 2), pads=[0, 0, 1, 1])
    n = c.neurons(c.add(c.conv(p, 3, 2, (2, 2)), c.conv(c.conv(q, 2, 2, (1, 1), denominator=2), 3, 2, (3, 3))), theta=[1.0])
    c.classify(n, 3, 2, 2, classes=2)
    yield every_run(c, ("rate", "regular"), neurons=("if", "asg", "if-signed"))

    c = case("wires", (3, 3, 3))  # slices and concatenations: zeros around a piece are zero, not what the image is at rest
    s = c.slice(0, (4, 3, 3), start=[1, 1, 0], step=[1, 2], zeros=[1, 1, 1])
    j = c.concat(s, 0)
    n = c.neurons(c.conv(j, 3, 7, (2, 2)), theta=[1.0])
    g = c.concat(c.slice(n, (3, 2, 2)), c.slice(0, (2, 2, 2), start=[1, 1, 1]))  # one source at rest, one that is not
    n = c.neurons(c.conv(g, 3, 5, (1, 1)), theta=[1.0])
    c.classify(n, 3, 2, 2, classes=2)
    yield every_run(c, ("rate", "regular"), neurons=("if", "asg", "if-signed"))

    c = case("neurons-on-image", (3, 2, 2))
    c.classify(c.neurons(0, theta=[0.5, 1.0, 2.0]), 3, 2, 2)
    yield every_run(c, ("rate", "regular"), neurons=("if",))


def readouts():
    def case(name, shape, output, **more):
        return Case("readout-" + name, shape, output=output, **{"images": 2, **more})

    c = case("count", (1, 3, 3), 2.0, mean=[0.25], std=[0.5])
    n = c.neurons(c.conv(0, 3, 1, (2, 2)), theta=[1.0])
    c.classify(n, 3, 2, 2)
    yield every_run(c, ("direct", "regular"), ("count",))

    c = case("count-wide", (1, 2, 2), 0.5, images=1)  # more classes than a word has bits, behind a sum
    n = c.neurons(c.conv(0, 3, 1, (1, 1)), theta=[1.0])
    c.add(c.conv(n, 66, 3, (2, 2), zeros=0.3), c.conv(n, 66, 3, (2, 2), zeros=0.3))
    yield every_run(c, readouts=("count",), neurons=("if", "asg"))
