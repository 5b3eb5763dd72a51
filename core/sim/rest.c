/* Rests. Invariant: what lies outside the image is zero and brings nothing, so a map differs at the borders. Runs once
 * a plan, plainly; the current of spikes is stage.c's. */
#include "sim/rest.h"

#include <string.h>

#include "sim/stage.h"

void snn_rest_of_image(snn_shape shape, const snn_preprocess *pre, float *rest) {
  for (size_t i = 0; i < snn_shape_size(shape); i++) {
    const size_t c = i % shape.c;
    rest[i] = c < SNN_MAX_CHANNELS_IN ? -pre->mean[c] / pre->std[c] : 0.0f;
  }
}

void snn_rest_of_average(const snn_pool *pool, const snn_edge *from, snn_shape shape, float *rest) {
  const snn_window *w = &pool->window;
  const float share = 1.0f / (float)(w->kernel_h * w->kernel_w);
  for (size_t i = 0; i < snn_shape_size(shape); i++) {
    const size_t c = i % shape.c, x = i / shape.c % shape.w, y = i / shape.c / shape.w;
    float sum = 0;
    for (uint32_t ky = 0; ky < w->kernel_h; ky++)
      for (uint32_t kx = 0; kx < w->kernel_w; kx++) {
        const int64_t iy = (int64_t)y * w->stride_h + (int64_t)ky * w->dilation_h - w->pad_top;
        const int64_t ix = (int64_t)x * w->stride_w + (int64_t)kx * w->dilation_w - w->pad_left;
        if (iy >= 0 && iy < from->shape.h && ix >= 0 && ix < from->shape.w)
          sum += from->rest[((size_t)iy * from->shape.w + (size_t)ix) * from->shape.c + c];
      }
    rest[i] = sum * share;
  }
}

void snn_rest_of_piece(const snn_piece *piece, const snn_slice *slice, const snn_edge *from, snn_shape shape,
                       float *rest) {
  for (uint32_t y = 0; from->rest && y < shape.h; y++)
    for (uint32_t x = 0; x < shape.w; x++) {
      size_t position;
      const snn_site site = {.y = y, .x = x};
      if (!snn_shown_position(slice, from->shape, site, &position)) continue;
      memcpy(rest + ((size_t)y * shape.w + x) * shape.c + piece->to,
             from->rest + position * from->shape.c + piece->from, piece->n * sizeof *rest);
    }
}

void snn_rest_of_stage(const snn_plan *plan, const snn_stage *stage, float *map) {
  const snn_kernels *kernels = snn_kernels_get();
  const snn_shape shape = stage->shape;
  for (size_t i = 0; i < snn_shape_size(shape); i++) map[i] = stage->bias[i % shape.c];
  for (uint32_t k = 0; k < stage->n_terms; k++) {
    const snn_term *term = &stage->terms[k];
    const float *rest = plan->edges[term->source].rest;
    for (size_t i = 0; rest && !term->is_conv && i < snn_shape_size(shape); i++) map[i] += rest[i];
    for (size_t p = 0; rest && term->is_conv && p < (size_t)shape.h * shape.w; p++)
      for (uint32_t begin = 0; begin < shape.c; begin += SNN_BLOCK) {
        const uint32_t left = shape.c - begin;
        const snn_site site = {.y = (uint32_t)(p / shape.w),
                               .x = (uint32_t)(p % shape.w),
                               .begin = begin,
                               .n = left < SNN_BLOCK ? left : SNN_BLOCK};
        kernels->conv_graded(&term->conv, site, rest, map + p * shape.c + begin);
      }
  }
}
