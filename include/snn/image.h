/* Pictures: PNG bytes to the network's input.
 *
 * The rule, for every PNG: decode to 8 bits a sample (16-bit samples are scaled, palettes and low depths expanded, no
 * gamma or colour profile applied), lay transparent pixels over the model's background, convert to gray (ITU-R 601
 * luma) or RGB as the model wants, resample by area to H x W (the whole picture, aspect ratio not kept; enlarging
 * repeats pixels by the same rule), round to 8 bits, then normalise. Each step rounds half up, in integers, so that
 * every machine gives the same bytes. Nothing else is done: a dark digit on light paper stays dark on light. */
#ifndef SNN_IMAGE_H
#define SNN_IMAGE_H

#include "snn/network.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Bounds checked from the header, before anything is allocated. */
typedef struct snn_image_limits {
  uint32_t max_width, max_height; /* 0: 4096 */
  uint64_t max_pixels;            /* width * height; 0: 16 Mpixel */
} snn_image_limits;

/* 8-bit samples, [height][width][channels], channels 1 gray, 2 gray+alpha, 3 RGB, 4 RGBA. Owned by the struct. */
typedef struct snn_image {
  uint32_t width, height, channels;
  uint8_t *pixels;
} snn_image;

/* Read only the header: the picture's size, without decoding or allocating. Errors: FORMAT, TOO_LARGE. limits may be
 * NULL. */
snn_status snn_image_probe_png(const void *bytes, size_t n_bytes, const snn_image_limits *limits, uint32_t *width,
                               uint32_t *height, snn_error *err);

/* Decode a PNG, interlaced or not. limits may be NULL. A wrong CRC in any chunk is corrupt; bytes after the end are
 * ignored. Errors: FORMAT (not a PNG, truncated, corrupt), TOO_LARGE (over the limits, refused from its header),
 * NO_MEMORY. *out is set only on success and freed by snn_image_free. */
snn_status snn_image_decode_png(const void *bytes, size_t n_bytes, const snn_image_limits *limits, snn_image *out,
                                snn_error *err);

/* Encode 8-bit samples as PNG; *out is malloc'ed, the caller frees it. Errors: ARGUMENT, NO_MEMORY. */
snn_status snn_image_encode_png(const snn_image *image, uint8_t **out, size_t *n_out, snn_error *err);

/* Free the pixels and empty the struct; NULL and an empty struct are allowed. */
void snn_image_free(snn_image *image);

/* To the network's size and channels (shape.c 1 or 3), 8 bits: out [h][w][c], caller-owned. Errors: ARGUMENT (other
 * channels, an empty picture or shape), NO_MEMORY; out is then undefined. */
snn_status snn_image_resample(const snn_image *image, snn_shape shape, uint8_t background, uint8_t *out,
                              snn_error *err);

/* Pixels [h][w][c] to the normalised input [c][h][w], caller-owned: (p / 255 - mean) / std. */
void snn_image_normalise(const uint8_t *pixels, snn_shape shape, const snn_preprocess *pre, float *out);

#ifdef __cplusplus
}
#endif
#endif
