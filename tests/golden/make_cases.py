#!/usr/bin/python3
"""Writes tests/golden/cases/<case>/{model.safetensors, input.bin, expected.json}: run it and commit what changed.

A case is a network, up to three images, and the answers of reference.py for both initial potentials at several numbers of
steps of one run; many also hold runs with other options. case.py builds and writes them, *_cases.py say which there are.
"""
import shutil

import layer_cases
import neuron_cases
import option_cases
from case import CASES

FAMILIES = (layer_cases.convolutions, layer_cases.pools, layer_cases.residuals, layer_cases.wires, neuron_cases.neurons,
            neuron_cases.neuron_models, option_cases.encodings, option_cases.readouts)


def main():
    shutil.rmtree(CASES, ignore_errors=True)
    for family in FAMILIES:
        for case in family():
            case.write()


if __name__ == "__main__":
    main()
