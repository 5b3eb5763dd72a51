/* Decoding constants. Raw bytes and packed floats stay where they are in the file; everything else (varints, numbers
 * sent one by one) is unpacked into scratch memory after checking that the file holds that many. Invariant: n elements
 * are really there. Does no arithmetic. */
#include "onnx/tensor.h"

#include <math.h>
#include <string.h>

#include "onnx/import.h"

/* How a type is stored: bytes an element, and the typed field of TensorProto that may hold it. */
typedef struct element_type {
  size_t size;
  uint32_t field;
  onnx_wire_type wire;
} element_type;

#define MAX_ELEMENTS ((size_t)1 << 48) /* no file holds as many; sizes in bytes stay far from overflow */

enum { FIELD_FLOAT = 4, FIELD_INT32 = 5, FIELD_INT64 = 7, FIELD_DOUBLE = 10 };

static const element_type element_types[] = {
    [ONNX_FLOAT] = {4, FIELD_FLOAT, ONNX_WIRE_FIXED32},  [ONNX_UINT8] = {1, FIELD_INT32, ONNX_WIRE_VARINT},
    [ONNX_INT8] = {1, FIELD_INT32, ONNX_WIRE_VARINT},    [ONNX_INT32] = {4, FIELD_INT32, ONNX_WIRE_VARINT},
    [ONNX_INT64] = {8, FIELD_INT64, ONNX_WIRE_VARINT},   [ONNX_BOOL] = {1, FIELD_INT32, ONNX_WIRE_VARINT},
    [ONNX_FLOAT16] = {2, FIELD_INT32, ONNX_WIRE_VARINT}, [ONNX_DOUBLE] = {8, FIELD_DOUBLE, ONNX_WIRE_FIXED64},
};

size_t snn_onnx_element_size(int64_t type) {
  bool known = type > 0 && (size_t)type < sizeof element_types / sizeof *element_types;
  return known ? element_types[type].size : 0;
}

bool snn_onnx_is_real(onnx_type type) {
  return type == ONNX_FLOAT || type == ONNX_FLOAT16 || type == ONNX_DOUBLE;
}

static double half_to_double(uint16_t bits) {
  int exponent = (bits >> 10) & 0x1f, fraction = bits & 0x3ff;
  double magnitude = exponent == 31  ? (fraction ? (double)NAN : (double)INFINITY)
                     : exponent == 0 ? ldexp(fraction, -24)
                                     : ldexp(1024 + fraction, exponent - 25);
  return bits & 0x8000 ? -magnitude : magnitude;
}

int64_t snn_onnx_int(const onnx_const *c, size_t i) {
  const uint8_t *p = c->data + i * element_types[c->type].size;
  switch (c->type) {
    case ONNX_INT64: return (int64_t)snn_wire_u64(p);
    case ONNX_INT32: return (int32_t)snn_wire_u32(p);
    case ONNX_INT8: return (int8_t)*p;
    case ONNX_UINT8: return *p;
    case ONNX_BOOL: return *p != 0;
    default: {
      double x = snn_onnx_real(c, i);
      if (isnan(x)) return 0;
      if (x >= 9223372036854775808.0) return INT64_MAX;
      return x < -9223372036854775808.0 ? INT64_MIN : (int64_t)x;
    }
  }
}

double snn_onnx_real(const onnx_const *c, size_t i) {
  const uint8_t *p = c->data + i * element_types[c->type].size;
  switch (c->type) {
    case ONNX_FLOAT: return (double)snn_wire_float(snn_wire_u32(p));
    case ONNX_DOUBLE: return snn_wire_double(snn_wire_u64(p));
    case ONNX_FLOAT16: return half_to_double((uint16_t)(p[0] | p[1] << 8));
    default: return (double)snn_onnx_int(c, i);
  }
}

static void put_bytes(uint8_t *p, uint64_t bits, size_t size) {
  for (size_t k = 0; k < size; k++) p[k] = (uint8_t)(bits >> (8 * k));
}

void snn_onnx_put_int(uint8_t *data, size_t i, int64_t value) {
  put_bytes(data + 8 * i, (uint64_t)value, 8);
}

void snn_onnx_put_float(uint8_t *data, size_t i, float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  put_bytes(data + 4 * i, bits, 4);
}

bool snn_onnx_count(uint32_t rank, const int64_t *dims, size_t *out) {
  size_t product = 1; /* of the dimensions that are not 0, so that strides fit too */
  bool empty = false;
  for (uint32_t i = 0; i < rank; i++) {
    if (dims[i] < 0 || !snn_mul(product, dims[i] ? (size_t)dims[i] : 1, &product)) return false;
    empty = empty || dims[i] == 0;
  }
  if (product > MAX_ELEMENTS) return false;
  *out = empty ? 0 : product;
  return true;
}

snn_status snn_onnx_new_const(onnx_import *im, const onnx_node *node, onnx_type type, uint32_t rank,
                              const int64_t *dims, onnx_const *out, uint8_t **data) {
  onnx_const c = {.type = type, .rank = rank};
  size_t n_bytes;
  if (rank > ONNX_MAX_RANK)
    return snn_onnx_fail(im, node, SNN_ERR_TOO_LARGE, "a tensor of more than %d dimensions", ONNX_MAX_RANK);
  if (!snn_onnx_count(rank, dims, &c.n) || !snn_mul(c.n, element_types[type].size, &n_bytes))
    return snn_onnx_fail(im, node, SNN_ERR_TOO_LARGE, "a constant of impossible size");
  snn_status status = snn_onnx_spend(im, node, n_bytes);
  if (status != SNN_OK) return status;
  if (rank) memcpy(c.dims, dims, rank * sizeof *dims);
  *data = snn_arena_alloc(&im->scratch, n_bytes, 1);
  if (!*data) return snn_fail_memory(im->err, "a constant");
  c.data = *data;
  *out = c;
  return SNN_OK;
}

/* Numbers of the typed field into scratch memory, or borrowed where one packed field of fixed-size numbers holds all.
 */
static snn_status decode_typed(onnx_import *im, const onnx_tensor *t, onnx_const *c, const char *name) {
  const element_type *type = &element_types[c->type];
  onnx_reader r = snn_wire_open(t->message);
  onnx_field f;
  uint64_t bits;
  size_t n_bytes, i = 0;
  uint8_t *data = NULL;
  if (c->n > t->message.n) /* every number takes at least a byte; checked before allocating for them */
    return snn_fail(im->err, SNN_ERR_FORMAT, name, "the tensor's shape has %zu elements, its data fewer", c->n);
  while (snn_wire_next(&r, &f)) {
    if (f.number != type->field) continue;
    if (f.type == ONNX_WIRE_BYTES && type->wire != ONNX_WIRE_VARINT && f.bytes.n / type->size == c->n &&
        f.bytes.n % type->size == 0 && i == 0 && !data) {
      c->data = f.bytes.bytes;
      i = c->n;
      continue;
    }
    if (!data && i == 0) {
      if (!snn_mul(c->n, type->size, &n_bytes)) return snn_fail_memory(im->err, "a constant");
      data = snn_arena_alloc(&im->scratch, n_bytes, 1);
      if (!data) return snn_fail_memory(im->err, "a constant");
      c->data = data;
    }
    for (; snn_wire_element(&f, type->wire, &bits); i++) {
      if (i >= c->n || !data)
        return snn_fail(im->err, SNN_ERR_FORMAT, name, "the tensor's shape has %zu elements, its data more", c->n);
      put_bytes(data + i * type->size, bits, type->size);
    }
    if (f.malformed) return snn_fail(im->err, SNN_ERR_FORMAT, name, "the tensor's data is malformed");
  }
  if (i != c->n)
    return snn_fail(im->err, SNN_ERR_FORMAT, name, "the tensor's shape has %zu elements, its data %zu", c->n, i);
  return SNN_OK;
}

snn_status snn_onnx_decode(onnx_import *im, const onnx_tensor *t, onnx_const *out) {
  char name[ONNX_LABEL];
  snn_onnx_text(t->name, name, sizeof name);
  size_t size = snn_onnx_element_size(t->type), n_bytes;
  if (size == 0)
    return snn_fail(im->err, SNN_ERR_UNSUPPORTED, name,
                    "tensor elements of type %lld are not supported; float, float16, double, bool and signed or 8-bit "
                    "integers are",
                    (long long)t->type);
  onnx_const c = {.type = (onnx_type)t->type, .rank = t->rank, .name = t->name};
  memcpy(c.dims, t->dims, sizeof c.dims);
  if (!snn_onnx_count(c.rank, c.dims, &c.n) || !snn_mul(c.n, size, &n_bytes))
    return snn_fail(im->err, SNN_ERR_TOO_LARGE, name, "a tensor of impossible size");
  snn_status status = SNN_OK;
  onnx_slice raw = t->raw;
  if (!t->external && !t->has_raw) {
    status = decode_typed(im, t, &c, name);
  } else {
    if (t->external) status = snn_onnx_external_bytes(im, t, &raw);
    if (status == SNN_OK && raw.n != n_bytes)
      status = snn_fail(im->err, SNN_ERR_FORMAT, name, "the tensor's shape needs %zu bytes of data, it has %zu",
                        n_bytes, raw.n);
    c.data = raw.bytes;
  }
  if (status == SNN_OK) *out = c;
  return status;
}
