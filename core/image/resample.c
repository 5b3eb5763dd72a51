/* Samples of any size to the network's size and channels, and pixels to the normalised input.
 *
 * Invariant: exact. An output pixel is the mean of the input area it covers, partly covered pixels counting by the
 * covered part; sums are integers and rounded once, half up, so that every machine gives the same bytes and the same
 * size is the identity. Averages the values as stored (no gamma) and keeps no aspect ratio. */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "image/samples.h"

/* Both axes are measured in a grid that input and output share: an input pixel is `out` units long, an output pixel
 * `in` units. Output pixel j covers input pixels first..last; those between the two count `out` units each. */
typedef struct span {
  size_t first, last;
  uint64_t weight_first, weight_last; /* units; equal to `in` and 0 when first == last */
} span;

static span span_of(size_t j, size_t in, size_t out) {
  const uint64_t begin = (uint64_t)j * in, end = begin + in;
  span s = {.first = (size_t)(begin / out), .last = (size_t)((end - 1) / out)};
  if (s.first == s.last)
    s.weight_first = in;
  else {
    s.weight_first = (s.first + 1) * (uint64_t)out - begin;
    s.weight_last = end - s.last * (uint64_t)out;
  }
  return s;
}

static uint8_t over(uint32_t value, uint32_t alpha, uint32_t background) {
  return (uint8_t)((value * alpha + background * (255 - alpha) + 127) / 255);
}

/* ITU-R 601; the weights add up to 65536, so that gray stays as it is. */
static uint8_t luma(uint32_t r, uint32_t g, uint32_t b) {
  return (uint8_t)((19595 * r + 38470 * g + 7471 * b + 32768) >> 16);
}

/* One row of `width` pixels to 1 or 3 opaque channels: background, then gray or RGB. */
static void convert_row(const uint8_t *in, size_t width, uint32_t channels_in, uint8_t background, uint32_t channels,
                        uint8_t *out) {
  if (channels_in == channels) {
    memcpy(out, in, width * channels);
    return;
  }
  const bool gray = channels_in < 3, has_alpha = channels_in == 2 || channels_in == 4;
  for (size_t x = 0; x < width; x++, in += channels_in, out += channels) {
    uint8_t r = in[0], g = gray ? r : in[1], b = gray ? r : in[2];
    if (has_alpha) {
      const uint8_t alpha = in[channels_in - 1];
      r = over(r, alpha, background);
      g = over(g, alpha, background);
      b = over(b, alpha, background);
    }
    if (channels == 1)
      out[0] = luma(r, g, b);
    else {
      out[0] = r;
      out[1] = g;
      out[2] = b;
    }
  }
}

/* Row sums: out[j][c] = sum over the covered columns of units * sample, at most 255 * n_in. */
static void sum_columns(const uint8_t *row, const span *columns, size_t n_out, uint32_t channels, uint64_t *out) {
  for (size_t j = 0; j < n_out; j++, out += channels) {
    const span s = columns[j];
    const uint8_t *first = row + s.first * channels, *last = row + s.last * channels;
    for (uint32_t c = 0; c < channels; c++) {
      uint64_t between = 0;
      for (const uint8_t *p = first + channels; p < last; p += channels) between += p[c];
      out[c] = s.weight_first * first[c] + between * n_out + s.weight_last * last[c];
    }
  }
}

/* Buffers of a resampling, bounded by one input row and a few output rows. */
typedef struct scratch {
  span *columns;         /* [shape.w] */
  uint8_t *row;          /* [in->width][c] the current input row, converted */
  uint64_t *row_sums;    /* [shape.w][c] its columns summed */
  uint64_t *accumulated; /* [shape.w][c] rows of the current output row */
} scratch;

/* sums / area, half up. The narrow division takes a fraction of the wide one's time and nearly every picture fits. */
static void divide_row(const uint64_t *sums, size_t n, uint64_t area, uint8_t *out) {
  if (area <= UINT32_MAX / 512) {
    const uint32_t narrow = (uint32_t)area;
    for (size_t k = 0; k < n; k++) out[k] = (uint8_t)((2 * (uint32_t)sums[k] + narrow) / (2 * narrow));
  } else
    for (size_t k = 0; k < n; k++) out[k] = (uint8_t)((2 * sums[k] + area) / (2 * area));
}

static void resample_area(const snn_samples *in, snn_shape shape, uint8_t background, scratch *t, uint8_t *out) {
  const size_t n_row = (size_t)shape.w * shape.c, stride = (size_t)in->width * in->channels;
  const uint64_t area = (uint64_t)in->width * in->height;
  for (size_t j = 0; j < shape.w; j++) t->columns[j] = span_of(j, in->width, shape.w);
  size_t summed = SIZE_MAX; /* the input row that row_sums holds: neighbours share one when enlarging */
  for (size_t y = 0; y < shape.h; y++, out += n_row) {
    const span s = span_of(y, in->height, shape.h);
    memset(t->accumulated, 0, n_row * sizeof *t->accumulated);
    for (size_t i = s.first; i <= s.last; i++) {
      if (i != summed) {
        convert_row(in->pixels + i * stride, in->width, in->channels, background, shape.c, t->row);
        sum_columns(t->row, t->columns, shape.w, shape.c, t->row_sums);
        summed = i;
      }
      const uint64_t weight = i == s.first ? s.weight_first : i == s.last ? s.weight_last : shape.h;
      for (size_t k = 0; k < n_row; k++) t->accumulated[k] += weight * t->row_sums[k];
    }
    divide_row(t->accumulated, n_row, area, out);
  }
}

static snn_status check_resample(const snn_samples *in, snn_shape shape, snn_error *err) {
  if (shape.c != 1 && shape.c != 3)
    return snn_fail(err, SNN_ERR_ARGUMENT, "shape", "a picture cannot fill %u channels, only 1 (gray) or 3 (RGB)",
                    shape.c);
  if (!shape.h || !shape.w) return snn_fail(err, SNN_ERR_ARGUMENT, "shape", "a picture of no pixels was asked for");
  if (in->channels < 1 || in->channels > 4)
    return snn_fail(err, SNN_ERR_ARGUMENT, "image", "%u channels, 1 to 4 are expected", in->channels);
  /* 2 * 255 * area must fit in 64 bits */
  if (!in->pixels || !in->width || !in->height || (uint64_t)in->width * in->height > UINT64_MAX / 1024)
    return snn_fail(err, SNN_ERR_ARGUMENT, "image", "a picture of %ux%u pixels cannot be resampled", in->width,
                    in->height);
  return SNN_OK;
}

snn_status snn_samples_resample(const snn_samples *in, snn_shape shape, uint8_t background, uint8_t *out,
                                snn_error *err) {
  snn_status status = check_resample(in, shape, err);
  if (status != SNN_OK) return status;
  if (in->width == shape.w && in->height == shape.h) {
    for (size_t y = 0; y < shape.h; y++)
      convert_row(in->pixels + y * in->width * in->channels, in->width, in->channels, background, shape.c,
                  out + y * shape.w * shape.c);
    return SNN_OK;
  }
  const size_t n_row = (size_t)shape.w * shape.c;
  scratch t = {.columns = snn_alloc_array(shape.w, sizeof *t.columns),
               .row = snn_alloc_array(in->width, shape.c),
               .row_sums = snn_alloc_array(n_row, sizeof *t.row_sums),
               .accumulated = snn_alloc_array(n_row, sizeof *t.accumulated)};
  if (!t.columns || !t.row || !t.row_sums || !t.accumulated)
    status = snn_fail_memory(err, "resampling a picture");
  else
    resample_area(in, shape, background, &t, out);
  free(t.columns);
  free(t.row);
  free(t.row_sums);
  free(t.accumulated);
  return status;
}

snn_status snn_image_resample(const snn_image *image, snn_shape shape, uint8_t background, uint8_t *out,
                              snn_error *err) {
  const snn_samples in = {
      .width = image->width, .height = image->height, .channels = image->channels, .pixels = image->pixels};
  return snn_samples_resample(&in, shape, background, out, err);
}

void snn_image_normalise(const uint8_t *pixels, snn_shape shape, const snn_preprocess *pre, float *out) {
  const size_t n_pixels = (size_t)shape.h * shape.w;
  for (uint32_t c = 0; c < shape.c; c++, out += n_pixels) {
    float value[256]; /* a division a grey level, not a pixel */
    for (int p = 0; p < 256; p++) value[p] = ((float)p / 255.0f - pre->mean[c]) / pre->std[c];
    for (size_t i = 0; i < n_pixels; i++) out[i] = value[pixels[i * shape.c + c]];
  }
}
