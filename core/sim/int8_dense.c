/* Maps with margins and weights for the dense kernels. Made from the packed weights, so that a sum is the same however
 * it is formed. */
#include "sim/int8_dense.h"

static bool is_contiguous(const snn_conv_args *a) {
  return a->dilation_w == 1;
}

/* How far the last tap of the last output reaches beyond an axis. */
static uint32_t beyond(uint32_t in, uint32_t out, uint32_t kernel, uint32_t stride, uint32_t dilation, uint32_t pad) {
  const int64_t last = (int64_t)(out - 1) * stride + (int64_t)(kernel - 1) * dilation - pad;
  return last >= in ? (uint32_t)(last - in + 1) : 0;
}

void snn_int8_widen_map(const snn_conv_args *a, snn_int8_map *map) {
  const uint32_t bottom = beyond(a->in_h, a->out_h, a->kernel_h, a->stride_h, a->dilation_h, a->pad_top);
  const uint32_t right = beyond(a->in_w, a->out_w, a->kernel_w, a->stride_w, a->dilation_w, a->pad_left);
  const uint32_t old_bottom = map->rows - map->top - a->in_h, old_right = map->pitch - map->left - a->in_w;
  if (a->pad_top > map->top) map->top = a->pad_top;
  if (a->pad_left > map->left) map->left = a->pad_left;
  map->rows = map->top + a->in_h + (bottom > old_bottom ? bottom : old_bottom);
  map->pitch = map->left + a->in_w + (right > old_right ? right : old_right);
}

bool snn_int8_is_dense(const snn_conv_args *a) {
  enum { TIMES = 8, FREE = 1024 }; /* a 3x3 window of one pixel needs nine */
  const size_t height =
      (size_t)a->in_h + a->pad_top + beyond(a->in_h, a->out_h, a->kernel_h, a->stride_h, a->dilation_h, a->pad_top);
  const size_t width =
      (size_t)a->in_w + a->pad_left + beyond(a->in_w, a->out_w, a->kernel_w, a->stride_w, a->dilation_w, a->pad_left);
  size_t area;
  return a->group_in == a->in_c && snn_mul(height, width, &area) && area <= TIMES * (size_t)a->in_h * a->in_w + FREE;
}

size_t snn_dense_row(const snn_conv_args *a) {
  return (size_t)a->kernel_h * a->kernel_w * snn_int8_padded(a->in_c);
}

uint32_t snn_dense_count_runs(const snn_conv_args *a) {
  return is_contiguous(a) ? a->kernel_h : a->kernel_h * a->kernel_w;
}

void snn_dense_find_runs(const snn_conv_args *a, const snn_int8_map *map, snn_dense_runs *runs, size_t *offset) {
  const uint32_t padded = snn_int8_padded(a->in_c), columns = is_contiguous(a) ? 1 : a->kernel_w;
  *runs = (snn_dense_runs){
      .offset = offset, .n = a->kernel_h * columns, .quads = (is_contiguous(a) ? a->kernel_w : 1) * padded / 4};
  for (uint32_t ky = 0; ky < a->kernel_h; ky++)
    for (uint32_t kx = 0; kx < columns; kx++)
      *offset++ = ((size_t)ky * a->dilation_h * map->pitch + (size_t)kx * a->dilation_w) * padded;
}

int32_t snn_int8_weight(const snn_int8_layer *layer, const snn_int8_term *term, uint32_t ky, uint32_t kx, uint32_t c,
                        uint32_t o) {
  const uint32_t lanes = layer->groups * SNN_LANES, block = o / lanes, lane = o % lanes;
  const size_t row = block * snn_int8_rows(term) + ((size_t)ky * term->columns + kx) * snn_int8_tap_rows(term) + c;
  const int8_t byte = term->weights[row * lanes + lane / SNN_LANES * SNN_LANES + snn_int8_byte(lane % SNN_LANES)];
  return lane % SNN_LANES < 32 ? (uint8_t)byte - 128 : byte;
}

/* Up to 64 output channels from `first` on: one tap after the other, four inputs together. */
static void pack_block(const snn_int8_layer *layer, const snn_int8_term *term, uint32_t first, int8_t *to) {
  const snn_conv_args *a = &term->conv;
  const uint32_t padded = snn_int8_padded(a->in_c), lanes = snn_dense_vectors(a->out_c, first) * SNN_DENSE_LANES;
  const uint32_t group = layer->groups * SNN_LANES;
  const bool whole_quads = padded == a->in_c && lanes == SNN_LANES;
  for (uint32_t ky = 0; ky < a->kernel_h; ky++)
    for (uint32_t kx = 0; kx < a->kernel_w; kx++, to += (size_t)padded * lanes) {
      if (whole_quads && first + SNN_LANES <= a->out_c) {
        const size_t tap = (size_t)(first / group * a->kernel_h + ky) * term->columns + kx;
        const size_t row = tap * snn_int8_tap_rows(term);
        snn_int8_kernels_get()->interleave(term->weights + row * group + first % group, group, a->in_c, to);
        continue;
      }
      for (uint32_t c = 0; c < padded; c++)
        for (uint32_t lane = 0; lane < lanes; lane++)
          to[((size_t)c / 4 * lanes + lane) * 4 + c % 4] =
              c < a->in_c && first + lane < a->out_c ? (int8_t)snn_int8_weight(layer, term, ky, kx, c, first + lane)
                                                     : 0;
    }
}

void snn_dense_pack(const snn_int8_layer *layer, const snn_int8_term *term, uint32_t threads, int8_t *to) {
  const size_t row = snn_dense_row(&term->conv);
#pragma omp parallel for num_threads((int)threads) schedule(static)
  for (uint32_t first = 0; first < term->conv.out_c; first += SNN_LANES)
    pack_block(layer, term, first, to + first * row);
}
