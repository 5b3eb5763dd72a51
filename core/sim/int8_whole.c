/* Whole runs (asg): convolutions of numbers of spikes. */
#include <string.h>

#include "sim/int8.h"

static bool tap_inside(uint32_t out, uint32_t k, uint32_t stride, uint32_t dilation, uint32_t pad, uint32_t in,
                       uint32_t *at) {
  int64_t i = (int64_t)out * stride + (int64_t)k * dilation - pad;
  *at = (uint32_t)i;
  return i >= 0 && i < in;
}

void snn_int8_whole_conv(const snn_int8_context *ctx, const snn_int8_layer *layer, const snn_int8_term *term,
                         uint32_t block, uint32_t y, uint32_t x, int32_t *acc) {
  const snn_conv_args *a = &term->conv;
  const size_t rows = (size_t)a->kernel_h * term->columns * a->in_c;
  const int8_t *weights = term->weights + block * rows * layer->groups * SNN_LANES;
  uint32_t at_y, at_x;
  for (uint32_t ky = 0; ky < a->kernel_h; ky++)
    for (uint32_t kx = 0; kx < term->columns; kx++) {
      if (!tap_inside(y, ky, a->stride_h, a->dilation_h, a->pad_top, a->in_h, &at_y) ||
          !tap_inside(x * layer->unroll, kx, a->stride_w, a->dilation_w, a->pad_left, a->in_w, &at_x))
        continue;
      for (uint32_t c = 0; c < a->in_c; c++) {
        int32_t n = snn_int8_value(ctx, term->source, (size_t)at_y * a->in_w + at_x, c, 0);
        if (!n) continue;
        uint32_t row = (ky * term->columns + kx) * a->in_c + c;
        int32_t once[SNN_INT8_GROUPS * SNN_LANES];
        ctx->sim->kernels->add_rows(weights, layer->groups, &row, 1, false, once);
        for (uint32_t i = 0; i < layer->groups * SNN_LANES; i++) acc[i] += n * once[i];
      }
    }
}
