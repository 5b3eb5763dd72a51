/* The protobuf wire format, read without copying and without trust.
 *
 * Why not protobuf-c: it would need the ONNX schema copied into our tree, allocates what a file asks for and copies
 * every weight. ONNX needs five of the format's forms, which is what is here. Invariant: a reader never looks outside
 * the slice it was opened on, and every value it hands out is borrowed from that slice. It knows nothing of ONNX. */
#ifndef SNN_ONNX_WIRE_H
#define SNN_ONNX_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Borrowed bytes; not terminated. */
typedef struct onnx_slice {
  const uint8_t *bytes;
  size_t n;
} onnx_slice;

typedef enum onnx_wire_type {
  ONNX_WIRE_VARINT = 0,
  ONNX_WIRE_FIXED64 = 1,
  ONNX_WIRE_BYTES = 2, /* length-delimited: text, sub-messages, packed numbers */
  ONNX_WIRE_FIXED32 = 5
} onnx_wire_type;

/* One field of a message. `value` holds scalars, `bytes` the content of ONNX_WIRE_BYTES. */
typedef struct onnx_field {
  uint32_t number;
  onnx_wire_type type;
  uint64_t value;
  onnx_slice bytes;
  bool taken;     /* a scalar was handed out by snn_wire_element */
  bool malformed; /* snn_wire_element met a wrong type or a torn number */
} onnx_field;

typedef struct onnx_reader {
  onnx_slice rest;
  bool malformed;
} onnx_reader;

onnx_reader snn_wire_open(onnx_slice message);

/* The next field of the message; false at its end and when it is malformed (then r->malformed is set): truncated, a
 * field number of 0 or beyond 2^29 - 1, a varint of more than 64 bits, a group (which ONNX does not use) or an unknown
 * wire type. */
bool snn_wire_next(onnx_reader *r, onnx_field *out);

/* The next number of a repeated scalar field, which writers may send packed or one by one: `element` is the type each
 * number has. false when all were taken and when the field is malformed (then f->malformed is set). */
bool snn_wire_element(onnx_field *f, onnx_wire_type element, uint64_t *out);

/* Little-endian numbers at any address. */
uint32_t snn_wire_u32(const uint8_t *p);
uint64_t snn_wire_u64(const uint8_t *p);

/* The float and double that bits stand for. */
float snn_wire_float(uint32_t bits);
double snn_wire_double(uint64_t bits);

bool snn_slice_is(onnx_slice s, const char *text);
bool snn_slice_equal(onnx_slice a, onnx_slice b);

#endif
