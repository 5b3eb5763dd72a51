#!/usr/bin/env python3
"""Compare what `snn` answers with what torch gave, digit by digit: compare.py SNN MODEL TORCH.json TEST_IDX_DIR

Classes and spikes in all layers of every test digit, at the model's own defaults. Exits 1 when the classes of more than
one digit in a thousand differ. Spikes may differ where a potential falls on the threshold within the rounding of float32,
since torch adds in another order.
"""
import json
import os
import subprocess
import sys
import tempfile

from PIL import Image

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "lenet-mnist", "recipe"))
from digits import idx_digits  # noqa: E402

AT_ONCE = 400


def main():
    if len(sys.argv) != 5:
        sys.exit(__doc__)
    snn, model, answers, folder = sys.argv[1:]
    with open(answers) as f:
        wanted = json.load(f)
    images, labels = idx_digits(folder, ["test", "t10k"])
    classes, spikes = [], []
    with tempfile.TemporaryDirectory() as pngs:
        paths = [os.path.join(pngs, f"{i:05}.png") for i in range(len(images))]
        for path, image in zip(paths, images):
            Image.fromarray(image).save(path)
        for i in range(0, len(paths), AT_ONCE):
            said = json.loads(subprocess.run([snn, "classify", model, *paths[i:i + AT_ONCE]], check=True,
                                             capture_output=True).stdout)
            classes += [r["class"]["index"] for r in said["results"]]
            spikes += [r["spikes"]["total"] for r in said["results"]]
    want_spikes = [sum(layers) for layers in wanted["spikes"]]
    other_class = sum(a != b for a, b in zip(classes, wanted["classes"]))
    other_spikes = [abs(a - b) for a, b in zip(spikes, want_spikes) if a != b]
    print(f"{len(classes)} digits with {said['neuron']} at T = {said['timesteps']}: {other_class} classes differ; spikes differ "
          f"on {len(other_spikes)} digits, by {sum(other_spikes)} of {sum(want_spikes)} in all "
          f"({max(other_spikes, default=0)} at most); {sum(int(a == b) for a, b in zip(classes, labels))} right")
    sys.exit(other_class > len(classes) // 1000)


if __name__ == "__main__":
    main()
