/* Weights in fewer bits: floats to F16 and I8, and BF16 to floats. */
#ifndef SNN_MODEL_ROUNDING_H
#define SNN_MODEL_ROUNDING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SNN_I8_LIMIT = 127 }; /* symmetric: -127..127, -128 is not used */

/* n little-endian elements at any alignment to floats, exactly; infinities and NaN stay what they are. */
void snn_expand_bf16(const uint8_t *bytes, size_t n, float *out);

/* False when an element is -128. */
bool snn_i8_is_symmetric(const uint8_t *bytes, size_t n);

/* Round to nearest, ties to even. false when a value is beyond the largest F16, 65504. */
bool snn_round_f16(const float *in, size_t n, uint16_t *out);

/* scale[c] = largest |in[i]| with i % channels == c, over 127; 1 for a channel of zeros. */
void snn_i8_scales(const float *in, size_t n, size_t channels, float *scale);

/* out[i] = in[i] / scale[(first + i) % channels] rounded to nearest, ties to even, within +-127. `first` is the place
 * of in[0] in its tensor. */
void snn_round_i8(const float *in, size_t n, size_t first, const float *scale, size_t channels, int8_t *out);

#endif
