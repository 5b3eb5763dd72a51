/* The body of an inference request to the network's inputs. Keeps the invariants that a decompressed body is held in
 * the ledger and stops growing at the limit, and that every byte and number of a tensor is accounted for by its shape.
 * Does not parse JSON. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "decode.h"
#include "json_oip_in.h"
#include "oip.h"
#include "snn/image.h"

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "tensors travel in little-endian order and are copied as they are"
#endif

const char *oip_output_name(oip_output o) {
  static const char *const names[OIP_OUTPUTS] = {"scores", "spike_count", "label"};
  return (unsigned)o < OIP_OUTPUTS ? names[o] : NULL;
}

bool oip_option_has_no_place(const char *name) {
  static const char *const names[] = {"top_k", "trace", "reference", "preview"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    if (strcmp(names[i], name) == 0) return true;
  return false;
}

static bool bad(inference *inf, const char *why) {
  return problem_set(&inf->problem, PROBLEM_BAD_REQUEST, "%s", why);
}

/* Where decompressed bytes go. */
typedef struct expansion {
  inference body; /* of this, only the body is used */
  size_t max_bytes;
} expansion;

static bool take_piece(void *context, const uint8_t *piece, size_t n) {
  expansion *x = context;
  if (n > x->max_bytes - x->body.n_body)
    return problem_set(&x->body.problem, PROBLEM_TOO_LARGE, "body: at most %zu bytes, decompressed", x->max_bytes);
  return inference_append(&x->body, piece, n);
}

static bool expand(inference *inf) {
  const oip_request *o = inf->oip;
  expansion x = {.body = {.ledger = inf->ledger}, .max_bytes = o->max_bytes};
  bool ok = false;
  switch (compress_expand(o->content, inf->body, inf->n_body, take_piece, &x)) {
    case EXPAND_OK:
      inference_take_body(inf, &x.body);
      ok = true;
      break;
    case EXPAND_MALFORMED:
      problem_set(&inf->problem, PROBLEM_BAD_REQUEST, "body: damaged or not %s", compression_name(o->content));
      break;
    case EXPAND_STOPPED: inf->problem = x.body.problem; break;
    case EXPAND_NO_MEMORY: problem_set(&inf->problem, PROBLEM_BUSY, "out of memory; try again"); break;
  }
  inference_drop_body(&x.body);
  return ok;
}

/* Number of pictures of a tensor of that shape. */
static bool count_pictures(inference *inf, const oip_tensor *t, size_t *n) {
  snn_shape in = snn_network_input(inf->model->network);
  const int64_t *s = t->shape;
  bool fits = t->datatype == OIP_BYTES ? t->n_dimensions == 1 || (t->n_dimensions == 2 && s[1] == 1)
                                       : t->n_dimensions == 4 && s[1] == in.c && s[2] == in.h && s[3] == in.w;
  if (!fits && t->datatype == OIP_BYTES) return bad(inf, "inputs[0].shape: expected [n], a PNG each");
  if (!fits)
    return problem_set(&inf->problem, PROBLEM_BAD_REQUEST, "inputs[0].shape: expected [n, %u, %u, %u]", in.c, in.h,
                       in.w);
  if (s[0] < 1) return bad(inf, "inputs[0].shape: expected at least 1 picture");
  if (s[0] > IMAGES_MAX)
    return problem_set(&inf->problem, PROBLEM_TOO_LARGE, "inputs[0].shape: at most %d pictures in a request, got %lld",
                       IMAGES_MAX, (long long)s[0]);
  *n = (size_t)s[0];
  return true;
}

static bool check_tensor(inference *inf, const oip_tensor *t, size_t *n) {
  if (!t->given) return bad(inf, "inputs: expected one, '" OIP_INPUT_NAME "'");
  if (t->datatype == OIP_NO_DATATYPE) return bad(inf, "inputs[0].datatype: missing");
  if (!t->has_shape) return bad(inf, "inputs[0].shape: missing");
  if (t->has_data && t->has_binary_size) return bad(inf, "inputs[0]: both data and binary_data_size");
  if (!t->has_data && !t->has_binary_size) return bad(inf, "inputs[0].data: missing, and no binary_data_size");
  return count_pictures(inf, t, n);
}

/* Elements of the tensor's numbers. */
static size_t count_values(const inference *inf, size_t n_images) {
  return n_images * snn_shape_size(snn_network_input(inf->model->network));
}

static bool check_finite(inference *inf, size_t n) {
  for (size_t i = 0; i < n; i++)
    if (!isfinite(inf->inputs[i]))
      return problem_set(&inf->problem, PROBLEM_BAD_REQUEST, "inputs[0].data[%zu]: not a finite number", i);
  return true;
}

/* Raw pixels [n][c][h][w] to inputs. */
static bool normalise(inference *inf, const uint8_t *planes) {
  const snn_network *net = inf->model->network;
  snn_shape shape = snn_network_input(net);
  size_t area = (size_t)shape.h * shape.w, size = snn_shape_size(shape);
  uint8_t *pixels = malloc(size); /* [h][w][c], as pictures have them */
  if (!pixels) return problem_set(&inf->problem, PROBLEM_BUSY, "out of memory; try again");
  for (size_t i = 0; i < inf->n_images; i++, planes += size) {
    for (size_t c = 0; c < shape.c; c++)
      for (size_t k = 0; k < area; k++) pixels[k * shape.c + c] = planes[c * area + k];
    snn_image_normalise(pixels, shape, snn_network_preprocess(net), inf->inputs + i * size);
  }
  free(pixels);
  return true;
}

/* The numbers of JSON as pixels, in place: a float has room for its byte. */
static bool numbers_to_pixels(inference *inf, inference *data, size_t n) {
  for (size_t i = 0; i < n; i++) {
    float v;
    memcpy(&v, data->body + i * sizeof v, sizeof v);
    if (!(v >= 0 && v <= 255) || v != floorf(v))
      return problem_set(&inf->problem, PROBLEM_BAD_REQUEST, "inputs[0].data[%zu]: expected an integer from 0 to 255",
                         i);
    data->body[i] = (uint8_t)v;
  }
  return true;
}

/* Spans of length-prefixed elements that fill [at, at + n) of the body. */
static bool find_elements(inference *inf, size_t at, size_t n, size_t n_elements) {
  size_t end = at + n;
  inf->n_images = 0;
  for (size_t i = 0; i < n_elements; i++) {
    uint32_t length;
    if (end - at < sizeof length) return bad(inf, "inputs[0]: binary data ends inside an element's length");
    memcpy(&length, inf->body + at, sizeof length);
    at += sizeof length;
    if (length > end - at)
      return problem_set(&inf->problem, PROBLEM_BAD_REQUEST, "inputs[0]: element %zu is longer than the binary data",
                         i);
    inf->images[inf->n_images++] = (span){at, length};
    at += length;
  }
  return at == end || bad(inf, "inputs[0]: binary data is longer than its elements");
}

/* A tensor behind the JSON, at `at`. */
static bool decode_binary(inference *inf, const oip_tensor *t, size_t at, size_t n_images) {
  size_t left = inf->n_body - at, size = t->datatype == OIP_FP32 ? sizeof(float) : 1;
  if (t->binary_size != left)
    return problem_set(&inf->problem, PROBLEM_BAD_REQUEST,
                       "inputs[0].parameters.binary_data_size: says %llu bytes, %zu follow the JSON",
                       (unsigned long long)t->binary_size, left);
  if (t->datatype == OIP_BYTES)
    return find_elements(inf, at, left, n_images) && inference_allocate(inf) && decode_pictures(inf);
  size_t wanted = count_values(inf, n_images) * size;
  if (left != wanted)
    return problem_set(&inf->problem, PROBLEM_BAD_REQUEST,
                       "inputs[0]: its shape wants %zu bytes of binary data, got %zu", wanted, left);
  inf->n_images = n_images;
  if (!inference_allocate(inf)) return false;
  if (t->datatype == OIP_UINT8) return normalise(inf, inf->body + at);
  memcpy(inf->inputs, inf->body + at, wanted);
  return check_finite(inf, wanted / size);
}

/* A tensor in the JSON, parsed into `data`. */
static bool decode_values(inference *inf, const oip_tensor *t, inference *data, size_t n_images) {
  size_t wanted = t->datatype == OIP_BYTES ? n_images : count_values(inf, n_images);
  if (t->data_is_text != (t->datatype == OIP_BYTES) && t->n_values)
    return bad(inf, t->data_is_text ? "inputs[0].data: expected numbers, got strings"
                                    : "inputs[0].data: expected base64 strings, got numbers");
  if (t->n_values != wanted)
    return problem_set(&inf->problem, PROBLEM_BAD_REQUEST, "inputs[0].data: its shape wants %zu elements, got %zu",
                       wanted, t->n_values);
  if (t->datatype == OIP_BYTES) {
    inference_take_body(inf, data);
    return inference_allocate(inf) && decode_pictures(inf);
  }
  inference_drop_body(inf);
  inf->n_images = n_images;
  if (!inference_allocate(inf)) return false;
  if (t->datatype == OIP_UINT8) return numbers_to_pixels(inf, data, wanted) && normalise(inf, data->body);
  memcpy(inf->inputs, data->body, wanted * sizeof(float));
  return check_finite(inf, wanted);
}

/* No JSON at all: one PNG, or as many FP32 pictures as the bytes are. */
static void describe_raw(const inference *inf, oip_tensor *t) {
  static const uint8_t signature[8] = "\x89PNG\r\n\x1a\n";
  snn_shape in = snn_network_input(inf->model->network);
  size_t picture = snn_shape_size(in) * sizeof(float);
  bool png = inf->n_body >= sizeof signature && memcmp(inf->body, signature, sizeof signature) == 0;
  *t = (oip_tensor){.given = true,
                    .has_shape = true,
                    .has_binary_size = true,
                    .datatype = png ? OIP_BYTES : OIP_FP32,
                    .shape = {png ? 1 : (int64_t)(inf->n_body / picture), in.c, in.h, in.w},
                    .n_dimensions = png ? 1 : 4,
                    .binary_size = inf->n_body};
}

static bool set_deadline(inference *inf) {
  uint64_t us = inf->oip->timeout_us;
  if (us && inf->options.timeout_ms) return bad(inf, "parameters: both timeout and timeout_ms");
  if (!us) us = inf->options.timeout_ms * UINT64_C(1000);
  if (us) inf->deadline_ns = inf->at.received + us * 1000;
  return true;
}

bool oip_decode(inference *inf) {
  oip_request *o = inf->oip;
  oip_tensor tensor = {0};
  inference data = {.ledger = inf->ledger};
  size_t n_images = 0;
  bool ok = false, raw = o->n_json == 0;
  if (o->content != COMPRESSION_NONE && !expand(inf)) return false;
  size_t n_json = o->n_json == OIP_WHOLE_JSON ? inf->n_body : o->n_json;
  if (n_json > inf->n_body)
    return problem_set(&inf->problem, PROBLEM_BAD_REQUEST,
                       "Inference-Header-Content-Length: says %zu bytes of JSON, the body has %zu", n_json,
                       inf->n_body);
  if (raw) {
    describe_raw(inf, &tensor);
    o->binary_output = true;
  } else if (!json_oip_parse(inf, inf->body ? (const char *)inf->body : "", n_json, count_values(inf, IMAGES_MAX),
                             &tensor, &data)) {
    goto cleanup;
  }
  if (!set_deadline(inf) || !check_tensor(inf, &tensor, &n_images) || !inference_choose_calibration(inf)) goto cleanup;
  if (!tensor.has_binary_size && n_json < inf->n_body) {
    bad(inf, "body: bytes behind the JSON that no input claims");
    goto cleanup;
  }
  if (raw && tensor.datatype == OIP_BYTES) {
    inf->n_images = 0;
    inf->images[inf->n_images++] = (span){0, inf->n_body};
    ok = inference_allocate(inf) && decode_pictures(inf);
  } else {
    ok = tensor.has_binary_size ? decode_binary(inf, &tensor, n_json, n_images)
                                : decode_values(inf, &tensor, &data, n_images);
  }

cleanup:
  inference_drop_body(&data);
  return ok;
}
