/* Constant tensors: what initializers, Constant nodes and folded operators hold.
 *
 * Invariant: data has n elements of `type`, little-endian, at any address; it is borrowed from the file (weights are
 * not copied until they enter a network) or lies in the importer's scratch arena. Never changed once made. */
#ifndef SNN_ONNX_TENSOR_H
#define SNN_ONNX_TENSOR_H

#include "onnx/proto.h"

typedef struct onnx_import onnx_import;

typedef struct onnx_const {
  onnx_type type;
  uint32_t rank;
  int64_t dims[ONNX_MAX_RANK];
  size_t n;            /* product of dims; 1 for a scalar */
  const uint8_t *data; /* may be NULL when n is 0 */
  onnx_slice name;     /* of the initializer it came from, through folding too; empty when there is none */
} onnx_const;

/* In shape arithmetic: the size of the batch, which a network has no number for. A value no file has a use for. */
#define ONNX_BATCH (INT64_MIN + 0x5eed)

/* Bytes of an element; 0 for types constants cannot have. */
size_t snn_onnx_element_size(int64_t type);
bool snn_onnx_is_real(onnx_type type);

/* Element i < n as a number; reals become integers towards zero, saturating (NaN gives 0). */
double snn_onnx_real(const onnx_const *c, size_t i);
int64_t snn_onnx_int(const onnx_const *c, size_t i);

/* A new constant with uninitialised (zero) elements in scratch memory, charged to the import's budget; *data is where
 * to write them. `node` is for messages. Errors: TOO_LARGE, NO_MEMORY. */
snn_status snn_onnx_new_const(onnx_import *im, const onnx_node *node, onnx_type type, uint32_t rank,
                              const int64_t *dims, onnx_const *out, uint8_t **data);

/* Element i of fresh data of type INT64, FLOAT. */
void snn_onnx_put_int(uint8_t *data, size_t i, int64_t value);
void snn_onnx_put_float(uint8_t *data, size_t i, float value);

/* Product of dims (each >= 0); false on overflow. */
bool snn_onnx_count(uint32_t rank, const int64_t *dims, size_t *out);

/* The data of a parsed tensor, from typed fields, raw bytes or an external file. Errors: FORMAT, UNSUPPORTED (an
 * element type), IO, NOT_FOUND (the external file), TOO_LARGE, NO_MEMORY; `where` is the tensor's name. */
snn_status snn_onnx_decode(onnx_import *im, const onnx_tensor *t, onnx_const *out);

/* Bytes [offset, offset + length) of an external data file, where length < 0 means to its end; borrowed from a mapping
 * the import keeps. The file must lie inside the model's folder. In external.c. */
snn_status snn_onnx_external_bytes(onnx_import *im, const onnx_tensor *t, onnx_slice *out);
void snn_onnx_external_close(onnx_import *im);

#endif
