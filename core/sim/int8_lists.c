/* Invariant: a slot's lists are of the chunk that runs; whoever runs a stage begins with empty ones. */
#include "sim/int8_lists.h"

#include "base/memory.h"

enum {
  CELL_BITS = 16,
  NO_ROW = UINT32_MAX,
  ROOM = 1 << 19 /* entries that are worth keeping, beyond the rows of one receptive field */
};

static uint32_t reach_of(const snn_conv_args *a) { /* rows of a receptive field */
  uint32_t rows = (a->kernel_h - 1) * a->dilation_h + 1;
  return rows < a->in_h ? rows : a->in_h;
}

/* All that does not lie in memory. */
static bool shape_of(const snn_int8_model *model, const snn_int8_term *term, uint32_t chunk, snn_int8_lists *l) {
  const snn_conv_args *a = &term->conv;
  size_t row, events, all;
  if (!snn_mul(a->in_w, a->in_c, &row) || !snn_mul(row, model->multiplicity[term->source], &events) ||
      !snn_mul(events, chunk, &events) || events > UINT32_MAX / 2)
    return false;
  *l = (snn_int8_lists){.term = term,
                        .joined = a->dilation_w == 1 && row <= (size_t)1 << CELL_BITS,
                        .slot_entries = (events + SNN_EVENT_SLACK + 31) & ~(size_t)31};
  l->pieces = l->joined ? 1 : (a->in_c + (1u << CELL_BITS) - 1) >> CELL_BITS;
  l->cells = a->in_w * l->pieces;
  l->stride = (size_t)l->cells + 1;
  const size_t keep = ROOM / l->slot_entries, least = reach_of(a);
  l->slots = keep > a->in_h ? a->in_h : keep > least ? (uint32_t)keep : (uint32_t)least;
  return snn_mul(l->stride, (size_t)2 * chunk, &l->slot_ends) && snn_mul(l->slots, l->slot_entries, &all) &&
         snn_mul(l->slots, l->slot_ends, &all);
}

bool snn_int8_lists_measure(const snn_int8_model *model, const snn_int8_term *term, uint32_t chunk,
                            snn_int8_lists_size *size) {
  snn_int8_lists l;
  if (!shape_of(model, term, chunk, &l)) return false;
  size->held = l.slots;
  size->entries = l.slots * l.slot_entries;
  size->ends = l.slots * l.slot_ends;
  size->spans = (size_t)2 * term->conv.kernel_h * (l.joined ? 1 : (size_t)term->columns * l.pieces);
  return true;
}

snn_int8_lists snn_int8_lists_begin(const snn_int8_context *ctx, const snn_int8_term *term, snn_int8_room *room) {
  snn_int8_lists l = {0};
  shape_of(ctx->sim->model, term, ctx->sim->layouts[SNN_PLAN_BINARY].chunk,
           &l); /* it could be said when the session was made */
  l.held = room->held;
  l.entries = room->entries;
  l.ends = room->ends;
  for (uint32_t i = 0; i < l.slots; i++) l.held[i] = NO_ROW;
  room->held += l.slots;
  room->entries += l.slots * l.slot_entries;
  room->ends += l.slots * l.slot_ends;
  return l;
}

/* Spikes as bits: of one position at a step, or of n neighbours; where they end goes to ends[n]. */
typedef struct listing {
  const snn_int8_context *ctx;
  const snn_int8_lists *l;
  uint32_t y, sign, t;
  uint16_t *entries;
} listing;

static const uint64_t *bits_at(const listing *k, uint32_t node, size_t position) {
  const uint32_t words = snn_words(k->ctx->sim->net->nodes[node].shape.c);
  return snn_int8_bits(k->ctx, node, position, k->sign) + (size_t)k->t * words;
}

/* Words of channels of a piece. */
static uint32_t piece_words(const listing *k, uint32_t piece) {
  const uint32_t words = snn_words(k->l->term->conv.in_c), first = piece << (CELL_BITS - 6);
  return words - first < 1u << (CELL_BITS - 6) ? words - first : 1u << (CELL_BITS - 6);
}

/* The windows that an average pool puts at position x of row y. */
static uint32_t list_pooled(const listing *k, uint32_t x, uint32_t piece, uint32_t at) {
  const snn_int8_term *term = k->l->term;
  const snn_window *w = &term->pool->window;
  const snn_shape in = k->ctx->sim->net->nodes[term->pooled].shape;
  for (uint32_t row = 0; row < w->kernel_h; row++)
    for (uint32_t column = 0; column < w->kernel_w; column++) {
      const int64_t in_y = (int64_t)k->y * w->stride_h + (int64_t)row * w->dilation_h - w->pad_top,
                    in_x = (int64_t)x * w->stride_w + (int64_t)column * w->dilation_w - w->pad_left;
      if (in_y < 0 || in_y >= in.h || in_x < 0 || in_x >= in.w) continue;
      const uint64_t *bits = bits_at(k, term->pooled, (size_t)in_y * in.w + (size_t)in_x);
      at = k->ctx->sim->kernels->list(bits + ((size_t)piece << (CELL_BITS - 6)), 0, 1, piece_words(k, piece),
                                      k->l->joined ? x * term->conv.in_c : 0, 0, k->entries, at, NULL);
    }
  return at;
}

/* Numbers of spikes: an entry as often as its number says; for sign 1 the negative ones. */
static uint32_t list_counts(const listing *k, uint32_t x, uint32_t piece, uint32_t at) {
  const snn_conv_args *a = &k->l->term->conv;
  const int32_t *counts = snn_int8_values(k->ctx, k->l->term->source, (size_t)k->y * a->in_w + x, k->t);
  const uint32_t begin = piece << CELL_BITS, left = a->in_c - begin;
  for (uint32_t c = 0; c < left && c < 1u << CELL_BITS; c++) {
    const int32_t n = k->sign ? -counts[begin + c] : counts[begin + c];
    for (int32_t i = 0; i < n; i++) k->entries[at++] = (uint16_t)((k->l->joined ? x * a->in_c : 0) + c);
  }
  return at;
}

/* All cells of a row at a step. */
static uint32_t list_step(const listing *k, uint32_t at, uint32_t *ends) {
  const snn_int8_term *term = k->l->term;
  const snn_conv_args *a = &term->conv;
  const bool pooled = snn_int8_looks_through(k->ctx, term);
  *ends++ = at;
  if (!pooled && k->l->joined && snn_int8_kind_of(k->ctx, term->source) == SNN_INT8_SPIKES) {
    const uint64_t *bits = bits_at(k, term->source, (size_t)k->y * a->in_w);
    const size_t stride = (size_t)snn_int8_signs(k->ctx->layout) * k->ctx->layout->chunk * snn_words(a->in_c);
    return k->ctx->sim->kernels->list(bits, stride, a->in_w, snn_words(a->in_c), 0, a->in_c, k->entries, at, ends);
  }
  for (uint32_t x = 0; x < a->in_w; x++)
    for (uint32_t piece = 0; piece < k->l->pieces; piece++) {
      if (pooled) {
        at = list_pooled(k, x, piece, at);
      } else if (snn_int8_kind_of(k->ctx, term->source) == SNN_INT8_SPIKES) {
        const uint64_t *bits = bits_at(k, term->source, (size_t)k->y * a->in_w + x);
        at = k->ctx->sim->kernels->list(bits + ((size_t)piece << (CELL_BITS - 6)), 0, 1, piece_words(k, piece), 0, 0,
                                        k->entries, at, NULL);
      } else {
        at = list_counts(k, x, piece, at);
      }
      *ends++ = at;
    }
  return at;
}

/* The slot that holds row y. */
static uint32_t slot_of(const snn_int8_context *ctx, snn_int8_lists *l, uint32_t y, uint32_t n_steps) {
  const uint32_t slot = y % l->slots;
  if (l->held[slot] == y) return slot;
  listing k = {.ctx = ctx, .l = l, .y = y, .entries = l->entries + slot * l->slot_entries};
  uint32_t at = 0, *ends = l->ends + slot * l->slot_ends;
  for (k.sign = 0; k.sign < snn_int8_signs(ctx->layout); k.sign++)
    for (k.t = 0; k.t < n_steps; k.t++)
      at = list_step(&k, at, ends + (k.sign * (size_t)ctx->layout->chunk + k.t) * l->stride);
  l->held[slot] = y;
  return slot;
}

uint32_t snn_int8_lists_spans(const snn_int8_context *ctx, snn_int8_lists *l, uint32_t y, uint32_t x, uint32_t sign,
                              uint32_t n_steps, snn_int8_span *spans) {
  const snn_int8_term *term = l->term;
  const snn_conv_args *a = &term->conv;
  const int64_t left = (int64_t)x * a->stride_w - a->pad_left;
  const int64_t begin = left < 0 ? 0 : left, end = left + term->columns < a->in_w ? left + term->columns : a->in_w;
  uint32_t n = 0;
  for (uint32_t ky = 0; ky < a->kernel_h; ky++) {
    const int64_t in_y = (int64_t)y * a->stride_h + (int64_t)ky * a->dilation_h - a->pad_top;
    if (in_y < 0 || in_y >= a->in_h) continue;
    const uint32_t slot = slot_of(ctx, l, (uint32_t)in_y, n_steps), row = ky * term->columns * a->in_c;
    const uint16_t *entries = l->entries + slot * l->slot_entries;
    const uint32_t *ends = l->ends + slot * l->slot_ends + sign * (size_t)ctx->layout->chunk * l->stride;
    if (l->joined) {
      if (begin < end)
        spans[n++] = (snn_int8_span){entries, ends + begin, ends + end, row - (uint32_t)(left * (int64_t)a->in_c)};
      continue;
    }
    for (uint32_t kx = 0; kx < term->columns; kx++) {
      const int64_t in_x = left + (int64_t)kx * a->dilation_w;
      if (in_x < 0 || in_x >= a->in_w) continue;
      for (uint32_t piece = 0; piece < l->pieces; piece++) {
        const size_t cell = (size_t)in_x * l->pieces + piece;
        spans[n++] = (snn_int8_span){entries, ends + cell, ends + cell + 1, row + kx * a->in_c + (piece << CELL_BITS)};
      }
    }
  }
  return n;
}

uint64_t snn_int8_lists_events(const snn_int8_context *ctx, snn_int8_lists *l, uint32_t y, uint32_t n_steps) {
  const snn_conv_args *a = &l->term->conv;
  uint64_t events = 0;
  for (uint32_t ky = 0; ky < a->kernel_h; ky++) {
    const int64_t in_y = (int64_t)y * a->stride_h + (int64_t)ky * a->dilation_h - a->pad_top;
    if (in_y < 0 || in_y >= a->in_h) continue;
    const uint32_t *ends = l->ends + slot_of(ctx, l, (uint32_t)in_y, n_steps) * l->slot_ends;
    events += ends[(size_t)(n_steps - 1) * l->stride + l->cells] - ends[0];
  }
  return events;
}
