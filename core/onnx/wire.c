/* The bounded protobuf decoder. Invariant: `rest` only ever shrinks, and no byte is read before its presence in it was
 * checked. Non-canonical varints (trailing zero groups) are accepted, as protobuf does, up to 64 bits. Allocates
 * nothing. */
#include "onnx/wire.h"

#include <string.h>

enum { MAX_FIELD_NUMBER = (1 << 29) - 1 };

uint32_t snn_wire_u32(const uint8_t *p) {
  return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

uint64_t snn_wire_u64(const uint8_t *p) {
  return (uint64_t)snn_wire_u32(p) | (uint64_t)snn_wire_u32(p + 4) << 32;
}

float snn_wire_float(uint32_t bits) {
  float x;
  memcpy(&x, &bits, sizeof x);
  return x;
}

double snn_wire_double(uint64_t bits) {
  double x;
  memcpy(&x, &bits, sizeof x);
  return x;
}

bool snn_slice_equal(onnx_slice a, onnx_slice b) {
  return a.n == b.n && (a.n == 0 || memcmp(a.bytes, b.bytes, a.n) == 0);
}

bool snn_slice_is(onnx_slice s, const char *text) {
  size_t n = strlen(text);
  return s.n == n && (n == 0 || memcmp(s.bytes, text, n) == 0);
}

static bool take_varint(onnx_slice *s, uint64_t *out) {
  uint64_t value = 0;
  for (unsigned shift = 0; shift < 64; shift += 7) {
    if (s->n == 0) return false;
    uint8_t byte = *s->bytes++;
    s->n--;
    if (shift == 63 && byte > 1) return false; /* the tenth byte holds bit 63 and nothing else */
    value |= (uint64_t)(byte & 0x7f) << shift;
    if (!(byte & 0x80)) {
      *out = value;
      return true;
    }
  }
  return false;
}

static bool take_fixed(onnx_slice *s, size_t width, uint64_t *out) {
  if (s->n < width) return false;
  *out = width == 4 ? snn_wire_u32(s->bytes) : snn_wire_u64(s->bytes);
  s->bytes += width;
  s->n -= width;
  return true;
}

static bool take_scalar(onnx_slice *s, onnx_wire_type type, uint64_t *out) {
  switch (type) {
    case ONNX_WIRE_VARINT: return take_varint(s, out);
    case ONNX_WIRE_FIXED64: return take_fixed(s, 8, out);
    case ONNX_WIRE_FIXED32: return take_fixed(s, 4, out);
    default: return false;
  }
}

static bool take_field(onnx_slice *s, onnx_field *out) {
  uint64_t tag, length;
  if (!take_varint(s, &tag) || tag >> 3 == 0 || tag >> 3 > MAX_FIELD_NUMBER) return false;
  *out = (onnx_field){.number = (uint32_t)(tag >> 3), .type = (onnx_wire_type)(tag & 7)};
  if (out->type != ONNX_WIRE_BYTES) return take_scalar(s, out->type, &out->value);
  if (!take_varint(s, &length) || length > s->n) return false;
  out->bytes = (onnx_slice){s->bytes, (size_t)length};
  s->bytes += (size_t)length;
  s->n -= (size_t)length;
  return true;
}

onnx_reader snn_wire_open(onnx_slice message) {
  return (onnx_reader){.rest = message, .malformed = false};
}

bool snn_wire_next(onnx_reader *r, onnx_field *out) {
  if (r->malformed || r->rest.n == 0) return false;
  if (take_field(&r->rest, out)) return true;
  r->malformed = true;
  return false;
}

bool snn_wire_element(onnx_field *f, onnx_wire_type element, uint64_t *out) {
  if (f->malformed) return false;
  if (f->type == element) {
    if (f->taken) return false;
    f->taken = true;
    *out = f->value;
    return true;
  }
  if (f->type == ONNX_WIRE_BYTES && f->bytes.n == 0) return false;
  if (f->type == ONNX_WIRE_BYTES && take_scalar(&f->bytes, element, out)) return true;
  f->malformed = true;
  return false;
}
