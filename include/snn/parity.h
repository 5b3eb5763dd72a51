/* Parity: does a model file still give the scores of the network it was made from? */
#ifndef SNN_PARITY_H
#define SNN_PARITY_H

#include "snn/network.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct snn_parity {
  bool comparable; /* the model's layers are those that the ONNX file gives, so they could be looked at one by one */
  size_t layer; /* the first layer of the model that differs by more than the tolerance; as many as there are: none */
  double difference; /* the largest there, in units of the layer's largest activation */
} snn_parity;

/* Run n pictures [n][C,H,W] through the float network of an ONNX file, one operator at a time as the file has them
 * (nothing folded or moved), and through a model's float network. *scores of each: [n][classes], caller-owned. Then
 * layers are compared where they are the same, `tolerance` in units of each layer's largest activation. threads 0: the
 * machine's. Answers do not depend on threads. Errors: as snn_convert_onnx reading the file; ARGUMENT (`where` is
 * "input" or "classes": the two have other shapes); NO_MEMORY. */
snn_status snn_parity_check(const char *onnx_path, const snn_network *model, const float *images, size_t n,
                            double tolerance, uint32_t threads, float *onnx_scores, float *model_scores,
                            snn_parity *out, snn_error *err);

#ifdef __cplusplus
}
#endif
#endif
