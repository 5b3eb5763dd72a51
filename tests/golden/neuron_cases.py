"""Cases of neurons: thresholds, levels, every neuron model."""
from case import Case


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
