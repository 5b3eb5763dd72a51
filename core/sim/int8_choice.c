/* Choosing between events and dense sums, and the latter. A window is gathered once for all blocks of channels of an
 * item: bytes [step][kernel_h][columns][in_c rounded up to 4]. */
#include "sim/int8_choice.h"

#include <string.h>

enum {
  MOST_WINDOW = 1 << 18, /* bytes of one step */
  SLACK = SNN_LANES,     /* that `spread` may write behind a window */
  MOST_ROWS = 16,        /* of a kernel whose outputs are unrolled */
  MOST_BYTE = 255,
  CELL_COST = 3,  /* of spreading a word of bits, in rows of weights added */
  PUT_COST = 10,  /* of an output's sums beside its products, up to 64 channels; likewise */
  LEAST_WORK = 10 /* products of vectors that a quad takes the time of, because each waits for the one before */
};

static size_t window_of(const snn_int8_term *term) {
  return (size_t)term->conv.kernel_h * term->columns * snn_int8_padded(term->conv.in_c);
}

size_t snn_int8_window_bytes(const snn_int8_model *model, const snn_int8_term *term) {
  if (!term->dense || model->multiplicity[term->source] > MOST_BYTE || window_of(term) > MOST_WINDOW ||
      (term->columns != term->conv.kernel_w && term->conv.kernel_h > MOST_ROWS))
    return 0;
  return SNN_DENSE_MOST * (window_of(term) + SLACK);
}

bool snn_int8_may_be_dense(const snn_int8_context *ctx, const snn_int8_layer *layer) {
  bool any = false;
  if (ctx->layout->kind != SNN_PLAN_BINARY || ctx->sim->choice == SNN_INT8_EVENTS) return false;
  for (uint32_t k = 0; k < layer->n_terms; k++) {
    const snn_int8_term *term = &layer->terms[k];
    if (!term->is_conv || term->is_grouped) continue;
    if (!snn_int8_window_bytes(ctx->sim->model, term)) return false;
    any = true;
  }
  return any && (ctx->sim->choice == SNN_INT8_DENSE || ctx->sim->whole.kernels->input_cost > 0);
}

/* In rows of 64 weights added. */
bool snn_int8_prefers_dense(const snn_int8_context *ctx, const snn_int8_layer *layer, snn_int8_lists *lists,
                            uint32_t n_lists, uint32_t y, uint32_t n_steps) {
  if (ctx->sim->choice != SNN_INT8_BEST) return ctx->sim->choice == SNN_INT8_DENSE;
  double by_events = 0, dense = 0;
  for (uint32_t k = 0; k < n_lists; k++) {
    const snn_int8_term *term = lists[k].term;
    const snn_conv_args *a = &term->conv;
    by_events += snn_int8_lists_rows(ctx, &lists[k], y, n_steps) * layer->groups * layer->blocks;
    const uint32_t vectors = (a->out_c + SNN_DENSE_LANES - 1) / SNN_DENSE_LANES;
    const uint32_t together = vectors < SNN_DENSE_VECTORS ? vectors : SNN_DENSE_VECTORS;
    const uint32_t tile = snn_dense_tile(together), n = n_steps < tile ? n_steps : tile;
    const double slow = n * together < LEAST_WORK ? (double)LEAST_WORK / (n * together) : 1;
    const double cells = (double)a->kernel_h * term->columns * snn_words(a->in_c) * layer->blocks *
                         (snn_int8_looks_through(ctx, term) ? ctx->sim->model->multiplicity[term->source] : 1);
    dense +=
        n_steps * (ctx->sim->whole.kernels->input_cost * slow * (double)snn_dense_row(a) / 4 * vectors * layer->unroll +
                   CELL_COST * cells + PUT_COST * (double)snn_words(a->out_c) * layer->unroll);
  }
  return dense < by_events;
}

/* What an average pool would put at position (y, x): steps [t, t + n). */
static void spread_pooled(const snn_int8_context *ctx, const snn_int8_term *term, uint32_t y, uint32_t x, uint32_t t,
                          uint32_t n, size_t stride, uint8_t *to) {
  const snn_window *w = &term->pool->window;
  const snn_shape in = ctx->sim->net->nodes[term->pooled].shape;
  const uint32_t words = snn_words(in.c);
  bool add = false;
  uint32_t from_y = 0, from_x = 0;
  for (uint32_t row = 0; row < w->kernel_h; row++)
    for (uint32_t column = 0; column < w->kernel_w; column++) {
      if (!snn_int8_tap(y, row, w->stride_h, w->dilation_h, w->pad_top, in.h, &from_y) ||
          !snn_int8_tap(x, column, w->stride_w, w->dilation_w, w->pad_left, in.w, &from_x))
        continue;
      const uint64_t *bits = snn_int8_bits(ctx, term->pooled, (size_t)from_y * in.w + from_x, 0);
      ctx->sim->whole.kernels->spread(bits + (size_t)t * words, words, n, add, to, stride);
      add = true;
    }
  for (uint32_t i = 0; !add && i < n; i++) memset(to + i * stride, 0, snn_int8_padded(in.c));
}

/* Inputs of one position. */
static void gather_cell(const snn_int8_context *ctx, const snn_int8_term *term, uint32_t y, uint32_t x, uint32_t t,
                        uint32_t n, size_t stride, uint8_t *to) {
  const snn_conv_args *a = &term->conv;
  const size_t position = (size_t)y * a->in_w + x;
  if (snn_int8_looks_through(ctx, term)) {
    spread_pooled(ctx, term, y, x, t, n, stride, to);
    return;
  }
  if (snn_int8_kind_of(ctx, term->source) == SNN_INT8_SPIKES) {
    const uint32_t words = snn_words(a->in_c);
    const uint64_t *bits = snn_int8_bits(ctx, term->source, position, 0) + (size_t)t * words;
    ctx->sim->whole.kernels->spread(bits, words, n, false, to, stride);
    return;
  }
  for (uint32_t i = 0; i < n; i++, to += stride) {
    const int32_t *counts = snn_int8_values(ctx, term->source, position, t + i);
    for (uint32_t c = 0; c < snn_int8_padded(a->in_c); c++) to[c] = c < a->in_c ? (uint8_t)counts[c] : 0;
  }
}

/* Steps [t, t + n) of a window, `stride` bytes apart. Cells in ascending order: one overwrites what `spread` wrote
 * behind the one before. */
static void gather(const snn_int8_context *ctx, const snn_int8_term *term, const snn_int8_site *site, uint32_t t,
                   uint32_t n, size_t stride, uint8_t *window) {
  const snn_conv_args *a = &term->conv;
  const uint32_t padded = snn_int8_padded(a->in_c);
  uint32_t y = 0, x = 0;
  for (uint32_t ky = 0; ky < a->kernel_h; ky++) {
    const bool has_row = snn_int8_tap(site->y, ky, a->stride_h, a->dilation_h, a->pad_top, a->in_h, &y);
    for (uint32_t column = 0; column < term->columns; column++, window += padded)
      if (has_row && snn_int8_tap(site->x, column, a->stride_w, a->dilation_w, a->pad_left, a->in_w, &x))
        gather_cell(ctx, term, y, x, t, n, stride, window);
      else
        for (uint32_t i = 0; i < n; i++) memset(window + i * stride, 0, padded);
  }
}

/* acc += one term's sums of n steps. */
static void add_term(const snn_int8_context *ctx, const snn_int8_term *term, const snn_int8_site *site, uint32_t n,
                     size_t stride, const uint8_t *window, int32_t *acc) {
  const snn_conv_args *a = &term->conv;
  const uint32_t padded = snn_int8_padded(a->in_c), lanes = site->layer->groups * SNN_LANES;
  const bool unrolled = site->layer->unroll > 1;
  const uint32_t first = unrolled ? 0 : site->block * lanes;
  const uint32_t end = a->out_c - first < lanes ? a->out_c : first + lanes;
  size_t offset[MOST_ROWS] = {0};
  snn_dense_runs runs = {.offset = offset, .n = 1, .quads = (uint32_t)(snn_dense_row(a) / 4)};
  if (unrolled) { /* a row of taps each, of a wider window */
    runs.n = a->kernel_h;
    runs.quads = a->kernel_w * padded / 4;
    for (uint32_t ky = 0; ky < a->kernel_h; ky++) offset[ky] = (size_t)ky * term->columns * padded;
  }
  for (uint32_t o = 0; o < site->outputs; o++)
    for (uint32_t c = first; c < end; c += SNN_LANES) {
      const uint32_t vectors = snn_dense_vectors(a->out_c, c), tile = snn_dense_tile(vectors);
      const uint32_t channels = end - c < SNN_LANES ? end - c : SNN_LANES, of_step = vectors * SNN_DENSE_LANES;
      for (uint32_t begin = 0; begin < n; begin += tile) {
        const uint32_t here = n - begin < tile ? n - begin : tile;
        const uint8_t *x[SNN_DENSE_MOST];
        int32_t sums[SNN_DENSE_MOST * SNN_LANES];
        for (uint32_t i = 0; i < SNN_DENSE_MOST; i++)
          x[i] = window + (begin + (i < here ? i : here - 1)) * stride + (size_t)o * a->stride_w * padded;
        memset(sums, 0, (size_t)tile * of_step * sizeof *sums);
        ctx->sim->whole.kernels->sum(term->dense + c * snn_dense_row(a), vectors, &runs, x, here, 0, sums);
        for (uint32_t i = 0; i < here; i++) {
          int32_t *to = acc + (size_t)(begin + i) * lanes + (unrolled ? o * a->out_c : c - first);
          for (uint32_t lane = 0; lane < channels; lane++) to[lane] += sums[i * of_step + lane];
        }
      }
    }
}

void snn_int8_dense_sums(const snn_int8_context *ctx, const snn_int8_site *site, uint32_t n_steps, int32_t *acc) {
  const size_t lanes = (size_t)site->layer->groups * SNN_LANES;
  memset(acc, 0, n_steps * lanes * sizeof *acc);
  for (uint32_t k = 0; k < site->layer->n_terms; k++) {
    const snn_int8_term *term = &site->layer->terms[k];
    if (!term->is_conv || term->is_grouped) continue;
    const size_t stride = window_of(term) + SLACK;
    for (uint32_t t = 0; t < n_steps; t += SNN_DENSE_MOST) {
      const uint32_t n = n_steps - t < SNN_DENSE_MOST ? n_steps - t : SNN_DENSE_MOST;
      gather(ctx, term, site, t, n, stride, ctx->scratch->window);
      add_term(ctx, term, site, n, stride, ctx->scratch->window, acc + t * lanes);
    }
  }
}
