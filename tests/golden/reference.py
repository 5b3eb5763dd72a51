"""A second opinion: the spiking network simulated the slow, obvious way, from the definitions and not from our C.

Reads and writes model files (a safetensors container), steps through time one layer after the other on maps [C][H][W],
and counts spikes, accumulates (by following each spike forward to the outputs it reaches) and multiply-accumulates.
Concatenations and slices are wires: what enters as events (spikes, pooled counts) leaves as events, and costs nothing.
numpy only. Every sum and product is checked to be exact in float32 in any order, so that answers may be compared byte
for byte; that is what the small dyadic numbers of make_cases.py are for.
"""
import json
import math
import struct

import numpy as np

SUMMING = ("neuron", "add")  # layers whose inputs simply add up


# ---- the container ---------------------------------------------------------------------------------------------------

def write_model(path, graph, tensors, name="", labels=None, recommended=None, mean=None, std=None, output=None):
    header, data = {}, b""
    for key in sorted(tensors):
        raw = np.ascontiguousarray(tensors[key], dtype="<f4")
        header[key] = {"dtype": "F32", "shape": list(raw.shape), "data_offsets": [len(data), len(data) + raw.nbytes]}
        data += raw.tobytes()
    channels = graph[0]["shape"][0]
    header["__metadata__"] = {
        "spiked.format_version": "1",
        "spiked.name": name,
        "spiked.graph": json.dumps(graph),
        "spiked.preprocess": json.dumps({"mean": mean or [0.0] * channels, "std": std or [1.0] * channels, "background": 0}),
        "spiked.recommended": json.dumps(recommended or {"timesteps": 32, "init": "half"}),
        "spiked.provenance": json.dumps({"tool": "tests/golden/make_cases.py"}),
    }
    if output:
        header["__metadata__"]["spiked.readout"] = json.dumps({"threshold": output})
    if labels:
        header["__metadata__"]["spiked.labels"] = json.dumps(labels)
    text = json.dumps(header, sort_keys=True).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text + data)


def read_model(path):
    """The graph (a list of layers), the tensors (a dict of float64 arrays) and other metadata of a model file."""
    with open(path, "rb") as f:
        raw = f.read()
    (n,) = struct.unpack_from("<Q", raw)
    header = json.loads(raw[8:8 + n])
    meta = {key: text for key, text in header.pop("__metadata__").items() if key not in ("spiked.name", "spiked.format_version")}
    meta = {key: json.loads(text) for key, text in meta.items()}
    tensors = {}
    for key, entry in header.items():
        assert entry["dtype"] == "F32", "the reference reads F32 only"
        begin, end = entry["data_offsets"]
        values = np.frombuffer(raw[8 + n + begin:8 + n + end], dtype="<f4")
        tensors[key] = values.reshape(entry["shape"]).astype(np.float64)
    return meta.pop("spiked.graph"), tensors, meta


# ---- arithmetic ------------------------------------------------------------------------------------------------------

def fraction_bits(x):
    """The smallest p such that x * 2^p are whole numbers."""
    for p in range(0, 25):
        if np.all(np.asarray(x) * 2.0 ** p == np.round(np.asarray(x) * 2.0 ** p)):
            return p
    raise AssertionError("numbers are not dyadic enough")


def assert_exact(magnitude, bits):
    """Sums of multiples of 2^-bits whose absolute values add up to `magnitude` are exact in float32 in any order."""
    assert np.max(magnitude) * 2.0 ** bits <= 2 ** 24, "not exact in float32"


def windows(layer, shape):
    """Output extent, and for an output (y, x) the taps ((ky, kx), (iy, ix)) inside the map."""
    (kh, kw), (sh, sw), (dh, dw) = layer["kernel"], layer.get("stride", [1, 1]), layer.get("dilation", [1, 1])
    top, left, bottom, right = layer.get("pads", [0, 0, 0, 0])
    _, h, w = shape
    oh, ow = (h + top + bottom - dh * (kh - 1) - 1) // sh + 1, (w + left + right - dw * (kw - 1) - 1) // sw + 1

    def taps(y, x):
        for ky in range(kh):
            for kx in range(kw):
                iy, ix = y * sh - top + ky * dh, x * sw - left + kx * dw
                if 0 <= iy < h and 0 <= ix < w:
                    yield (ky, kx), (iy, ix)

    return oh, ow, taps


def convolve(layer, x, weight, bias):
    groups, n_out = layer.get("groups", 1), weight.shape[3]
    n_in = x.shape[0] // groups
    oh, ow, taps = windows(layer, x.shape)
    out = np.zeros((n_out, oh, ow))
    for y in range(oh):
        for xx in range(ow):
            for o in range(n_out):
                g = o // (n_out // groups)
                out[o, y, xx] = bias[o] + sum(
                    float(x[g * n_in:(g + 1) * n_in, iy, ix] @ weight[ky, kx, :, o]) for (ky, kx), (iy, ix) in taps(y, xx))
    return out


def average(layer, x):
    """Averages; padding counts in the divisor only where the layer says so."""
    oh, ow, taps = windows(layer, x.shape)
    out, full = np.zeros((x.shape[0], oh, ow)), layer["kernel"][0] * layer["kernel"][1]
    for y in range(oh):
        for xx in range(ow):
            inside = [x[:, iy, ix] for _, (iy, ix) in taps(y, xx)]
            out[:, y, xx] = sum(inside) / (full if layer.get("count_include_pad") else len(inside))
    assert_exact(abs(x).max() * full, max(fraction_bits(x), fraction_bits(out)))
    return out


def maximum(layer, x):
    oh, ow, taps = windows(layer, x.shape)
    out = np.zeros((x.shape[0], oh, ow))
    for y in range(oh):
        for xx in range(ow):
            out[:, y, xx] = np.max([x[:, iy, ix] for _, (iy, ix) in taps(y, xx)], axis=0)
    return out


def piece(layer, x):
    """A slice: element by element along each axis, zeros before `zeros` and behind the input."""
    out = np.zeros(layer["shape"])
    start, step, zeros = layer.get("start", [0] * 3), [1, *layer.get("step", [1, 1])], layer.get("zeros", [0] * 3)
    for index in np.ndindex(*layer["shape"]):
        at = [s + (i - z) * d for i, s, d, z in zip(index, start, step, zeros)]
        if all(i >= z and a < n for i, z, a, n in zip(index, zeros, at, x.shape)):
            out[index] = x[tuple(at)]
    return out


def fan_out(layer, in_shape, out_shape, iy, ix):
    """Outputs that a spike of one channel at (iy, ix) reaches: walk forward, borders minded."""
    (kh, kw), (sh, sw), (dh, dw) = layer["kernel"], layer.get("stride", [1, 1]), layer.get("dilation", [1, 1])
    top, left = layer.get("pads", [0, 0, 0, 0])[:2]
    reached = 0
    for ky in range(kh):
        for kx in range(kw):
            y, x = iy + top - ky * dh, ix + left - kx * dw
            reached += y % sh == 0 and x % sw == 0 and 0 <= y // sh < out_shape[1] and 0 <= x // sw < out_shape[2]
    return reached * (out_shape[0] // layer.get("groups", 1))


# ---- neurons ---------------------------------------------------------------------------------------------------------

def rectified(u):
    """InfLoR-SNN's membrane potential rectifier, eq. 12."""
    inner = np.tanh(3 * (np.clip(u, 0, 1) - 0.5)) / (2 * math.tanh(1.5)) + 0.5
    return np.where(u < 0, 1 - np.cbrt(1 - np.minimum(u, 0)), np.where(u > 1, np.cbrt(u), inner))


def step(neuron, tau, theta, fire, current, v, balance):
    """One step of a layer: the spikes, of -1, 0 or 1, and the new (potentials, spikes not taken back)."""
    v = (tau if neuron.startswith("lif") else 1) * v + current
    assert_exact(abs(v) + abs(current), max(fraction_bits(v), fraction_bits(current)))
    if neuron == "srif":
        sent = (v >= fire / 2).astype(int)
    elif neuron == "srif-mpr":
        sent = (rectified(v / fire) >= 0.5).astype(int)
    else:
        sent = (v >= fire).astype(int)
    if neuron == "if-signed":
        sent = sent - ((v <= -fire) & (balance > 0) & (sent == 0)).astype(int)
    v = np.where(sent != 0, 0.0, v) if neuron in ("if-hard", "lif") else v - sent * theta
    return sent, (v, balance + sent)


# ---- encodings -------------------------------------------------------------------------------------------------------

MASK = 2 ** 64 - 1
GOLDEN = 0x9E3779B97F4A7C15


def mix(z):
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 & MASK
    z = (z ^ z >> 27) * 0x94D049BB133111EB & MASK
    return z ^ z >> 31


def encode(encoding, pixels, seed, number, steps):
    """Spikes of pixels [C][H][W] in [0, 1] at steps 1..T: a list of arrays of 0 and 1."""
    levels = [math.floor(65535 * min(max(float(p), 0.0), 1.0) + 0.5) for p in pixels.ravel()]
    start, n = mix(GOLDEN * ((seed << 32 | number) + 1) & MASK), len(levels)
    sent = []
    for t in range(steps):
        if encoding == "regular":  # round(t p), halves up
            spikes = [(2 * (t + 1) * q + 65535) // 131070 - (2 * t * q + 65535) // 131070 for q in levels]
        else:
            spikes = [int(((mix(start + GOLDEN * (t * n + i + 1) & MASK) >> 32) * 65535 >> 32) < q) for i, q in enumerate(levels)]
        sent.append(np.array(spikes).reshape(pixels.shape))
    return sent


# ---- the network -----------------------------------------------------------------------------------------------------

class Network:
    def __init__(self, graph, tensors, meta=None):
        self.graph, self.tensors, self.last = graph, tensors, len(graph) - 1
        self.readers = [[j for j, b in enumerate(graph) for k in b["inputs"] if k == i] for i in range(len(graph))]
        self.meta = meta or {}
        self.take("direct")

    def take(self, encoding):
        self.constant = []  # does the layer give the same at every step? (direct encoding: the image does)
        for i, layer in enumerate(self.graph):
            same = layer["op"] != "neuron" and all(self.constant[k] for k in layer["inputs"])
            self.constant.append(same and (i > 0 or encoding == "direct"))

    def weights(self, layer):
        return self.tensors[layer["name"] + ".weight"], self.tensors[layer["name"] + ".bias"]

    def levels(self, layer):
        """theta, fire, amplitude of a neuron layer, broadcast over [C][H][W]."""
        theta = self.tensors[layer["name"] + ".threshold"]
        return [self.tensors.get(layer["name"] + end, theta)[:, None, None] for end in (".threshold", ".fire", ".amplitude")]

    def charged(self, i):
        """The layer an operation that ends in layer i is charged to: the neurons it arrives at, or the last layer."""
        while self.graph[i]["op"] != "neuron" and i != self.last:
            i = self.readers[i][0]
        return i

    def passes_through(self, i):
        """Is layer i no more than a wire of its only reader, so that what arrives there arrives at the reader?"""
        if self.constant[i] or self.graph[i]["op"] not in ("conv", "add"):
            return False
        return i == self.last or (len(self.readers[i]) == 1 and self.graph[self.readers[i][0]]["op"] in SUMMING)

    def float_scores(self, image):
        values = [image]
        for layer in self.graph[1:]:
            x, op = [values[k] for k in layer["inputs"]], layer["op"]
            if op == "conv":
                weight, bias = self.weights(layer)
                values.append(convolve(layer, x[0], weight, bias))
                assert_exact(convolve(layer, abs(x[0]), abs(weight), abs(bias)), fraction_bits(x[0]) + fraction_bits(weight))
            elif op == "avgpool":
                values.append(average(layer, x[0]))
            elif op == "maxpool":
                values.append(maximum(layer, x[0]))
            elif op == "add":
                values.append(sum(x))
            elif op == "concat":
                values.append(np.concatenate(x))
            elif op == "slice":
                values.append(piece(layer, x[0]))
            else:
                values.append(np.clip(x[0], 0, layer.get("clip", math.inf)))
        return values[self.last][:, 0, 0]

    def run(self, image, init, checkpoints, neuron="if", tau=None, shift=0, encoding="direct", seed=0, number=0,
            readout="potential"):
        """One image: a list of (scores, spikes, accumulates, macs) at each checkpoint; the last one is T."""
        n, answers, steps = len(self.graph), [], checkpoints[-1]
        self.take(encoding)
        if encoding != "direct":
            mean, std = (np.array(self.meta["spiked.preprocess"][key])[:, None, None] for key in ("mean", "std"))
            encoded = encode(encoding, image * std + mean, seed, number, steps)
        theta_out, counted = self.meta.get("spiked.readout", {}).get("threshold"), 0
        out = (np.zeros(1) if init == "zero" or not theta_out else np.full(1, theta_out / 2), np.zeros(1))
        spikes, accumulates, macs = ([0] * n for _ in range(3))
        times = steps if neuron == "asg" else 1  # asg: one pass over totals of all T steps
        value, events = [image * times] + [None] * self.last, [None] * n  # what a layer sends; how many spikes that is, if any
        potential, summed, highest = {}, {}, {}
        total = 0
        for t in range(times, steps + 1, times):
            if encoding != "direct":
                events[0] = sum(encoded[t - times:t])
                value[0] = events[0] / std - times * mean / std
            for i, layer in enumerate(self.graph[1:], 1):
                if self.constant[i] and t > times:
                    continue
                sources, op = layer["inputs"], layer["op"]
                x = value[sources[0]]
                if op == "conv":
                    weight, bias = self.weights(layer)
                    bias = bias * times
                    value[i] = convolve(layer, x, weight, bias)
                    assert_exact(convolve(layer, abs(x), abs(weight), abs(bias)) + abs(value[i]),
                                 fraction_bits(x) + fraction_bits(weight) + fraction_bits(bias))
                    reach = lambda y, xx: fan_out(layer, x.shape, value[i].shape, y, xx)
                    places = [(y, xx) for y in range(x.shape[1]) for xx in range(x.shape[2])]
                    if events[sources[0]] is not None:
                        arrived = abs(events[sources[0]]).sum(axis=0)
                        accumulates[self.charged(i)] += sum(int(arrived[p]) * reach(*p) for p in places)
                    else:
                        macs[i if self.constant[i] else self.charged(i)] += sum(x.shape[0] * reach(*p) for p in places)
                elif op == "avgpool":
                    value[i] = average(layer, x)
                    uniform = layer.get("count_include_pad") or not any(layer.get("pads", [0] * 4))
                    if events[sources[0]] is not None and uniform:  # whole counts stay events
                        events[i] = average(layer, events[sources[0]]) * layer["kernel"][0] * layer["kernel"][1]
                elif op == "concat":  # a wire; events where all its inputs are
                    value[i] = np.concatenate([value[k] for k in sources])
                    if all(events[k] is not None for k in sources):
                        events[i] = np.concatenate([events[k] for k in sources])
                elif op == "slice":
                    value[i] = piece(layer, x)
                    events[i] = None if events[sources[0]] is None else piece(layer, events[sources[0]])
                elif op == "maxpool" and self.constant[i]:
                    value[i] = maximum(layer, x)
                elif op == "maxpool":  # the maximum of the cumulated current, and what it grew by
                    summed[i] = summed.get(i, 0) + x
                    new = maximum(layer, summed[i])
                    value[i], highest[i] = new - highest.get(i, 0), new
                    assert_exact(abs(summed[i]), fraction_bits(summed[i]))
                else:
                    current = sum(value[k] for k in sources)
                    accumulates[self.charged(i)] += sum(self.arrivals(k, value, events) for k in sources)
                    value[i] = current
                    if op == "neuron":
                        if i not in potential:
                            potential[i] = (self.start(i, init, steps) + np.zeros(current.shape), np.zeros(current.shape))
                        theta, fire, amplitude = self.levels(layer)
                        current = current / times + shift * theta / (2 * steps)
                        events[i] = np.zeros(current.shape, int)
                        for _ in range(times):
                            sent, potential[i] = step(neuron, tau, theta, fire, current, *potential[i])
                            events[i] = events[i] + sent
                            spikes[i] += int(abs(sent).sum())
                        value[i] = events[i] * amplitude
            drive = value[self.last][:, 0, 0]
            for _ in range(times if readout == "count" else 0):
                fired, out = step(neuron, tau, theta_out, theta_out, drive / times, *out)
                counted = counted + fired
                spikes[self.last] += int(abs(fired).sum())
            total = counted * theta_out if readout == "count" else total + drive
            accumulates[self.last] += self.arrivals(self.last, value, events)
            if t in checkpoints:
                scores = (total / t).astype(np.float32)
                answers.append((scores, list(spikes), list(accumulates), list(macs)))
        return answers

    def start(self, i, init, steps):
        """Initial potentials of neuron layer i."""
        theta = self.levels(self.graph[i])[0]
        if init in ("zero", "half"):
            return theta / 2 if init == "half" else theta * 0
        reached, todo = set(), list(self.graph[i]["inputs"])  # the convolutions behind sums and pools
        while todo:
            k = todo.pop()
            if self.graph[k]["op"] == "conv":
                reached.add(k)
            elif self.graph[k]["op"] in ("add", "avgpool", "maxpool"):
                todo += self.graph[k]["inputs"]
        if not reached:
            return theta / 2
        bias = sum(self.weights(self.graph[k])[1] for k in reached)
        rests = []
        for k in reached:  # IC-SNN, Algorithm 1: (w T + b) mod theta, w the current of one spike
            weight, source = self.weights(self.graph[k])[0], self.graph[k]["inputs"][0]
            while self.graph[source]["op"] in ("avgpool", "maxpool"):
                source = self.graph[source]["inputs"][0]
            groups, n_out = self.graph[k].get("groups", 1), weight.shape[3]
            for o in range(n_out):
                for j in range(weight.shape[2]):
                    worth = 1.0
                    if self.graph[source]["op"] == "neuron":
                        amplitude = self.levels(self.graph[source])[2].ravel()
                        worth = amplitude[(o // (n_out // groups) * weight.shape[2] + j) % amplitude.size]
                    rests += list(np.mod((weight[:, :, j, o] * worth * steps + bias[o]) / theta.ravel()[o % theta.size], 1).ravel())
        return float(np.float32(np.mean(rests))) * theta

    def arrivals(self, k, value, events):
        """Accumulates of adding layer k's own output to a sum: a spike costs one, a pooled count its count, a stored
        graded current one a value, a constant current none (it is a bias). A wire's are counted where they arose."""
        if self.constant[k] or self.passes_through(k):
            return 0
        return int(abs(events[k]).sum() if events[k] is not None else value[k].size)
