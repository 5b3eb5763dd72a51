/* What the rooms behind image.h share: raw 8-bit samples that belong to somebody else. */
#ifndef SNN_IMAGE_SAMPLES_H
#define SNN_IMAGE_SAMPLES_H

#include <stdint.h>

#include "snn/image.h"

enum { SNN_IMAGE_MAX_EXTENT = 4096, SNN_IMAGE_MAX_PIXELS = 16 * 1024 * 1024 }; /* defaults of snn_image_limits */

/* [height][width][channels], channels as in snn_image. Borrowed. */
typedef struct snn_samples {
  uint32_t width, height, channels;
  const uint8_t *pixels;
} snn_samples;

/* snn_image_resample for samples that no snn_image owns, such as a record of a mapped file. Same rule, same errors. */
snn_status snn_samples_resample(const snn_samples *in, snn_shape shape, uint8_t background, uint8_t *out,
                                snn_error *err);

#endif
