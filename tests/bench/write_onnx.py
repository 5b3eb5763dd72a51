#!/usr/bin/python3
"""Write the float network inside a model file back as ONNX: what the spiking network is to be compared with.

    write_onnx.py MODEL.safetensors OUT.onnx

The weights are those of the file, so what conversion folded into them stays folded. Neurons become Relu, or Clip where
the source had one. F32 files only; slices are refused. Opset 13; the batch size is free.
"""
import sys

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from model_file import read_model


def window(node):
    top, left, bottom, right = node.get("pads", [0, 0, 0, 0])
    return {"kernel_shape": node["kernel"], "strides": node.get("stride", [1, 1]), "pads": [top, left, bottom, right]}


def build(graph, tensors, name):
    nodes, weights = [], []
    values = ["image"]  # what each layer's output is called; names of layers may repeat, places do not

    def add(op, inputs, **attributes):
        values.append(f"v{len(values)}")
        nodes.append(helper.make_node(op, inputs, [values[-1]], **attributes))

    def weight(key, array):
        weights.append(numpy_helper.from_array(np.ascontiguousarray(array, np.float32), key))
        return key

    for layer in graph[1:]:
        inputs, op, here = [values[k] for k in layer["inputs"]], layer["op"], len(values)
        if op == "conv":
            kernel = tensors[layer["name"] + ".weight"].transpose(3, 2, 0, 1)  # HWIO to OIHW
            inputs += [weight(f"w{here}", kernel), weight(f"b{here}", tensors[layer["name"] + ".bias"])]
            add("Conv", inputs, **window(layer), dilations=layer.get("dilation", [1, 1]), group=layer.get("groups", 1))
        elif op == "neuron":
            if "clip" in layer:
                inputs += [weight(f"lo{here}", np.array(0)), weight(f"hi{here}", np.array(layer["clip"]))]
            add("Clip" if "clip" in layer else "Relu", inputs)
        elif op == "avgpool":
            add("AveragePool", inputs, **window(layer), count_include_pad=int(layer.get("count_include_pad", False)))
        elif op == "maxpool":
            add("MaxPool", inputs, **window(layer), dilations=layer.get("dilation", [1, 1]))
        elif op == "add":
            add("Sum", inputs)
        elif op == "concat":
            add("Concat", inputs, axis=1)
        else:
            sys.exit(f"{layer['name']}: layers of kind '{op}' cannot be written back")
    nodes.append(helper.make_node("Flatten", [values[-1]], ["scores"], axis=1))
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", *graph[0]["shape"]])
    scores = helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["batch", tensors[graph[-1]["name"] + ".bias"].size]
                                           if graph[-1]["op"] == "conv" else ["batch", None])
    model = helper.make_model(helper.make_graph(nodes, name or "network", [image], [scores], weights),
                              opset_imports=[helper.make_opsetid("", 13)])
    model.ir_version = 7
    onnx.checker.check_model(model, full_check=True)
    return model


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__.strip())
    meta, graph, tensors = read_model(sys.argv[1])
    onnx.save(build(graph, tensors, meta.get("spiked.name", "")), sys.argv[2])


if __name__ == "__main__":
    main()
