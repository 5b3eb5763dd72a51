/* The operator table. Adding an operator is one function (ops_*.c or fold*.c) and one line here. Operators that the
 * importer knows but refuses stand here too, with what it would take; all others are refused without that hint. */
#include "onnx/import.h"

#define RECURRENT  "state that is carried from one position of a sequence to the next"
#define ACTIVATION "an activation that spikes can stand for: Relu, or Clip from 0 to a bound"
#define UPSAMPLING "layers that enlarge a map"
#define CONTROL    "a graph without branches or loops; export the model with constant control flow"
#define ROUNDING   "bounds below and above it: Clip(0, 1), Mul by the levels, Floor, Div by the levels, for example"
#define QUANTISED  "the float model: export it before quantisation"

static const onnx_operator operators[] = {
    /* name, inputs, activations, constants, what is missing */
    {"Add", 2, 2, snn_onnx_sum, snn_onnx_fold_arithmetic, NULL},
    {"AveragePool", 1, 1, snn_onnx_average_pool, NULL, NULL},
    {"BatchNormalization", 5, 5, snn_onnx_batch_norm, NULL, NULL},
    {"Cast", 1, 1, snn_onnx_cast, snn_onnx_fold_cast, NULL},
    {"Clip", 1, 3, snn_onnx_clip, NULL, NULL},
    {"Concat", 1, ONNX_MAX_NODE_VALUES, snn_onnx_concat, snn_onnx_fold_concat, NULL},
    {"Constant", 0, 0, NULL, snn_onnx_fold_constant, NULL},
    {"ConstantOfShape", 1, 1, NULL, snn_onnx_fold_fill, NULL},
    {"Conv", 2, 3, snn_onnx_conv, NULL, NULL},
    {"Div", 2, 2, snn_onnx_div, snn_onnx_fold_arithmetic, NULL},
    {"Dropout", 1, 3, snn_onnx_dropout, snn_onnx_fold_identity, NULL},
    {"Flatten", 1, 1, snn_onnx_flatten, snn_onnx_fold_flatten, NULL},
    {"Gather", 2, 2, NULL, snn_onnx_fold_gather, "picking single channels or positions of a layer in any order"},
    {"Gemm", 2, 3, snn_onnx_gemm, NULL, NULL},
    {"GlobalAveragePool", 1, 1, snn_onnx_global_average_pool, NULL, NULL},
    {"GlobalMaxPool", 1, 1, snn_onnx_global_max_pool, NULL, NULL},
    {"Identity", 1, 1, snn_onnx_identity, snn_onnx_fold_identity, NULL},
    {"LogSoftmax", 1, 1, snn_onnx_softmax, NULL, NULL},
    {"MatMul", 2, 2, snn_onnx_matmul, NULL, NULL},
    {"MaxPool", 1, 1, snn_onnx_max_pool, NULL, NULL},
    {"Mul", 2, 2, snn_onnx_mul, snn_onnx_fold_arithmetic, NULL},
    {"Pad", 1, 4, snn_onnx_pad, NULL, NULL},
    {"ReduceMean", 1, 2, snn_onnx_reduce_mean, NULL, NULL},
    {"Relu", 1, 1, snn_onnx_relu, NULL, NULL},
    {"Reshape", 2, 2, snn_onnx_reshape, snn_onnx_fold_reshape, NULL},
    {"Shape", 1, 1, snn_onnx_shape_of, snn_onnx_fold_shape, NULL},
    {"Slice", 1, 5, snn_onnx_slice, snn_onnx_fold_slice, NULL},
    {"Softmax", 1, 1, snn_onnx_softmax, NULL, NULL},
    {"Split", 1, 2, snn_onnx_split, NULL, NULL},
    {"Squeeze", 1, 2, snn_onnx_squeeze, snn_onnx_fold_squeeze, NULL},
    {"Sub", 2, 2, snn_onnx_sub, snn_onnx_fold_arithmetic, NULL},
    {"Sum", 1, ONNX_MAX_NODE_VALUES, snn_onnx_sum, NULL, NULL},
    {"Transpose", 1, 1, snn_onnx_transpose, snn_onnx_fold_transpose, NULL},
    {"Unsqueeze", 1, 2, snn_onnx_unsqueeze, snn_onnx_fold_unsqueeze, NULL},

    {"Celu", 0, ONNX_MAX_NODE_VALUES, NULL, NULL, ACTIVATION},
    {"ConvTranspose", 0, ONNX_MAX_NODE_VALUES, NULL, NULL, UPSAMPLING},
    {"DequantizeLinear", 0, ONNX_MAX_NODE_VALUES, NULL, NULL, QUANTISED},
    {"Elu", 0, ONNX_MAX_NODE_VALUES, NULL, NULL, ACTIVATION},
    {"Erf", 0, ONNX_MAX_NODE_VALUES, NULL, NULL, ACTIVATION},
    {"Exp", 0, ONNX_MAX_NODE_VALUES, NULL, NULL, ACTIVATION},
    {"Floor", 0, ONNX_MAX_NODE_VALUES, NULL, NULL, ROUNDING},
    {"GRU", 0, ONNX_MAX_NODE_VALUES, NULL, NULL, RECURRENT},
    {"Gelu", 0, ONNX_MAX_NODE_VALUES, NULL, NULL, ACTIVATION},
    {"HardSigmoid", 0, ONNX_MAX_NODE_VALUES, NULL, NULL, ACTIVATION},
    {"HardSwish", 0, ONNX_MAX_NODE_VALUES, NULL, NULL, ACTIVATION},
    {"If", 0, ONNX_MAX_NODE_VALUES, NULL, NULL, CONTROL},
    {"InstanceNormalization", 0, ONNX_MAX_NODE_VALUES, NULL, NULL, "BatchNormalization, whose statistics are constant"},
    {"LRN", 0, ONNX_MAX_NODE_VALUES, NULL, NULL, "BatchNormalization, whose statistics are constant"},
    {"LSTM", 0, ONNX_MAX_NODE_VALUES, NULL, NULL, RECURRENT},
    {"LayerNormalization", 0, ONNX_MAX_NODE_VALUES, NULL, NULL, "BatchNormalization, whose statistics are constant"},
    {"LeakyRelu", 0, ONNX_MAX_NODE_VALUES, NULL, NULL, ACTIVATION},
    {"Loop", 0, ONNX_MAX_NODE_VALUES, NULL, NULL, CONTROL},
    {"Mish", 0, ONNX_MAX_NODE_VALUES, NULL, NULL, ACTIVATION},
    {"PRelu", 0, ONNX_MAX_NODE_VALUES, NULL, NULL, ACTIVATION},
    {"QLinearConv", 0, ONNX_MAX_NODE_VALUES, NULL, NULL, QUANTISED},
    {"QuantizeLinear", 0, ONNX_MAX_NODE_VALUES, NULL, NULL, QUANTISED},
    {"RNN", 0, ONNX_MAX_NODE_VALUES, NULL, NULL, RECURRENT},
    {"Resize", 0, ONNX_MAX_NODE_VALUES, NULL, NULL, UPSAMPLING},
    {"Round", 0, ONNX_MAX_NODE_VALUES, NULL, NULL, ROUNDING},
    {"Scan", 0, ONNX_MAX_NODE_VALUES, NULL, NULL, CONTROL},
    {"Selu", 0, ONNX_MAX_NODE_VALUES, NULL, NULL, ACTIVATION},
    {"Sigmoid", 0, ONNX_MAX_NODE_VALUES, NULL, NULL, ACTIVATION},
    {"Softplus", 0, ONNX_MAX_NODE_VALUES, NULL, NULL, ACTIVATION},
    {"Sqrt", 0, ONNX_MAX_NODE_VALUES, NULL, NULL, ACTIVATION},
    {"Tanh", 0, ONNX_MAX_NODE_VALUES, NULL, NULL, ACTIVATION},
    {"Upsample", 0, ONNX_MAX_NODE_VALUES, NULL, NULL, UPSAMPLING},
};

const onnx_operator *snn_onnx_operator(onnx_slice name) {
  for (size_t i = 0; i < sizeof operators / sizeof *operators; i++)
    if (snn_slice_is(name, operators[i].name)) return &operators[i];
  return NULL;
}
