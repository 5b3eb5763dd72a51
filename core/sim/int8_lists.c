/* Invariant: a slot's lists are of the chunk that runs; whoever runs a stage begins with empty ones. */
#include "sim/int8_lists.h"

#include "base/memory.h"

enum {
  CELL_BITS = 16,
  NO_ROW = UINT32_MAX,
  ROOM = 1 << 19 /* joined entries that are worth keeping where several blocks read them */
};

/* Rows of a receptive field. */
static uint32_t reach_of(const snn_conv_args *a) {
  const uint32_t rows = (a->kernel_h - 1) * a->dilation_h + 1;
  return rows < a->in_h ? rows : a->in_h;
}

static size_t padded(size_t entries) {
  return (entries + SNN_EVENT_SLACK + 31) & ~(size_t)31;
}

/* Slots for some of n rows: `most` of them, but no more than ROOM holds, and `least` at any rate. */
static snn_int8_slots slots_of(uint32_t n, uint32_t most, uint32_t least, uint32_t cells, size_t entries) {
  const size_t kept = ROOM / entries < most ? ROOM / entries : most;
  const size_t slots = kept > least ? kept : least;
  return (snn_int8_slots){.slots = slots < n ? (uint32_t)slots : n, .cells = cells, .entries = entries};
}

static size_t ends_of(const snn_int8_slots *s) { /* of one step */
  return (size_t)s->cells + 1;
}

/* All that does not lie in memory. */
static bool shape_of(const snn_int8_model *model, const snn_int8_layer *layer, const snn_int8_term *term,
                     uint32_t chunk, snn_int8_lists *l) {
  const snn_conv_args *a = &term->conv;
  size_t row, in, out, all;
  if (!snn_mul(a->in_w, snn_int8_tap_rows(term), &row) || !snn_mul(row, model->multiplicity[term->source], &in) ||
      !snn_mul(in, chunk, &in) || in > UINT32_MAX / 2)
    return false;
  *l = (snn_int8_lists){
      .term = term, .unroll = layer->unroll, .joined = a->dilation_w == 1 && row <= (size_t)1 << CELL_BITS};
  l->row_bytes = layer->groups * SNN_LANES;
  l->sites = layer->sites_w;
  l->shared = l->joined && layer->unroll == 1;
  l->pieces = l->joined ? 1 : (a->in_c + (1u << CELL_BITS) - 1) >> CELL_BITS;
  const uint32_t cells = l->shared ? a->in_w : layer->sites_w;
  /* a spike is in the list of an output row once a kernel row, or once a tap; zeros fill cells up */
  if (!snn_mul(in, l->shared ? a->kernel_h : (size_t)a->kernel_h * term->columns, &out) ||
      !snn_add(out, (size_t)SNN_QUAD * cells * chunk, &out) || out > UINT32_MAX / 2)
    return false;
  const uint32_t reach = reach_of(a);
  l->in = slots_of(a->in_h, reach, reach, a->in_w * l->pieces, padded(in));
  l->out = slots_of(a->out_h, layer->blocks == 1 ? 1 : a->out_h, 1, cells, padded(out));
  return snn_mul(l->in.slots, l->in.entries, &all) && snn_mul(l->out.slots, l->out.entries, &all) &&
         snn_mul(ends_of(&l->in), (size_t)2 * chunk * l->in.slots, &all) &&
         snn_mul(ends_of(&l->out), (size_t)2 * chunk * l->out.slots, &all);
}

bool snn_int8_lists_measure(const snn_int8_model *model, const snn_int8_layer *layer, const snn_int8_term *term,
                            uint32_t chunk, snn_int8_lists_size *size) {
  snn_int8_lists l;
  if (!shape_of(model, layer, term, chunk, &l)) return false;
  size->held = (size_t)l.in.slots + l.out.slots;
  size->ends = (size_t)2 * chunk * (ends_of(&l.in) * l.in.slots + ends_of(&l.out) * l.out.slots);
  size->entries = l.in.slots * l.in.entries;
  size->offsets = l.out.slots * l.out.entries;
  size->columns = (size_t)2 * l.sites + l.out.cells + 1;
  size->spans = (size_t)term->conv.kernel_h * (l.joined ? 1 : (size_t)term->columns * l.pieces);
  return true;
}

static void place(snn_int8_slots *s, uint32_t chunk, snn_int8_room *room) {
  s->held = room->held;
  s->ends = room->ends;
  for (uint32_t i = 0; i < s->slots; i++) s->held[i] = NO_ROW;
  room->held += s->slots;
  room->ends += s->slots * ends_of(s) * 2 * chunk;
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
                                      k->l->joined ? x * snn_int8_tap_rows(term) : 0, 0, k->entries, at, NULL);
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
    for (int32_t i = 0; i < n; i++)
      k->entries[at++] = (uint16_t)((k->l->joined ? x * snn_int8_tap_rows(k->l->term) : 0) + c);
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
    return k->ctx->sim->kernels->list(bits, stride, a->in_w, snn_words(a->in_c), 0, snn_int8_tap_rows(term), k->entries,
                                      at, ends);
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

/* The slot of row y, and whether it holds that already. From now on it does. */
static bool find_slot(snn_int8_slots *s, uint32_t y, uint32_t *slot) {
  *slot = y % s->slots;
  const bool held = s->held[*slot] == y;
  s->held[*slot] = y;
  return held;
}

/* Where a slot's ends of a step begin. */
static uint32_t *ends_at(const snn_int8_context *ctx, const snn_int8_slots *s, uint32_t slot, uint32_t sign,
                         uint32_t t) {
  return s->ends + ((slot * (size_t)2 + sign) * ctx->layout->chunk + t) * ends_of(s);
}

/* The slot that holds row y of the input. */
static uint32_t list_row(const snn_int8_context *ctx, snn_int8_lists *l, uint32_t y, uint32_t n_steps) {
  uint32_t slot, at = 0;
  if (find_slot(&l->in, y, &slot)) return slot;
  listing k = {.ctx = ctx, .l = l, .y = y, .entries = l->in_entries + slot * l->in.entries};
  for (k.sign = 0; k.sign < snn_int8_signs(ctx->layout); k.sign++)
    for (k.t = 0; k.t < n_steps; k.t++) at = list_step(&k, at, ends_at(ctx, &l->in, slot, k.sign, k.t));
  return slot;
}

/* Where site x begins to read, in columns of the input; it may be margin. */
static int64_t left_of(const snn_int8_lists *l, uint32_t x) {
  return (int64_t)x * l->unroll * l->term->conv.stride_w - l->term->conv.pad_left;
}

/* The columns that cells join. */
static void find_columns(snn_int8_lists *l) {
  const uint32_t in_w = l->term->conv.in_w;
  for (uint32_t x = 0; x < l->sites; x++) {
    const int64_t left = left_of(l, x), right = left + l->term->columns;
    l->begin[x] = left < 0 ? 0 : left < in_w ? (uint32_t)left : in_w;
    l->end[x] = right < l->begin[x] ? l->begin[x] : right < in_w ? (uint32_t)right : in_w;
  }
  for (uint32_t x = 0; x < l->out.cells + 1; x++) l->column[x] = x;
}

snn_int8_lists snn_int8_lists_begin(const snn_int8_context *ctx, const snn_int8_layer *layer, const snn_int8_term *term,
                                    snn_int8_room *room) {
  const uint32_t chunk = ctx->sim->layouts[SNN_PLAN_BINARY].chunk;
  snn_int8_lists l = {.term = term};
  shape_of(ctx->sim->model, layer, term, chunk, &l); /* it could be said when the session was made */
  place(&l.in, chunk, room);
  place(&l.out, chunk, room);
  l.in_entries = room->entries;
  l.offsets = room->offsets;
  l.spans = room->spans;
  l.begin = room->columns;
  l.end = l.begin + l.sites;
  l.column = l.end + l.sites;
  room->columns += (size_t)2 * l.sites + l.out.cells + 1;
  room->entries += l.in.slots * l.in.entries;
  room->offsets += l.out.slots * l.out.entries;
  find_columns(&l);
  return l;
}

/* The spans of output row y at a step: of rows of the input, or, where entries are not numbered along them, of all that
 * site x reads. */
static uint32_t find_spans(const snn_int8_context *ctx, const snn_int8_lists *l, uint32_t y, uint32_t x, uint32_t sign,
                           uint32_t t) {
  const snn_int8_term *term = l->term;
  const snn_conv_args *a = &term->conv;
  const uint32_t tap = snn_int8_tap_rows(term);
  const int64_t left = left_of(l, x);
  uint32_t n = 0, in_y;
  for (uint32_t ky = 0; ky < a->kernel_h; ky++) {
    if (!snn_int8_tap(y, ky, a->stride_h, a->dilation_h, a->pad_top, a->in_h, &in_y)) continue;
    const uint32_t slot = in_y % l->in.slots, row = ky * term->columns * tap;
    const uint32_t *ends = ends_at(ctx, &l->in, slot, sign, t);
    const uint16_t *entries = l->in_entries + slot * l->in.entries;
    if (l->joined) l->spans[n++] = (snn_int8_span){entries, ends, l->shared ? row : row - (uint32_t)left * tap};
    for (uint32_t kx = 0; kx < term->columns && !l->joined; kx++) {
      const int64_t in_x = left + (int64_t)kx * a->dilation_w;
      if (in_x < 0 || in_x >= a->in_w) continue;
      for (uint32_t piece = 0; piece < l->pieces; piece++)
        l->spans[n++] =
            (snn_int8_span){entries, ends + (size_t)in_x * l->pieces + piece, row + kx * tap + (piece << CELL_BITS)};
    }
  }
  return n;
}

/* The slot that holds what row y of the outputs reads. */
static uint32_t join_row(const snn_int8_context *ctx, snn_int8_lists *l, uint32_t y, uint32_t n_steps) {
  const snn_conv_args *a = &l->term->conv;
  const uint32_t tap = snn_int8_tap_rows(l->term);
  uint32_t slot, in_y, at = 0;
  if (find_slot(&l->out, y, &slot)) return slot;
  for (uint32_t ky = 0; ky < a->kernel_h; ky++)
    if (snn_int8_tap(y, ky, a->stride_h, a->dilation_h, a->pad_top, a->in_h, &in_y)) list_row(ctx, l, in_y, n_steps);
  uint32_t *offsets = l->offsets + slot * l->out.entries;
  snn_int8_cells cells = {.spans = l->spans,
                          .begin = l->column,
                          .end = l->column + 1,
                          .n = l->joined ? l->out.cells : 1,
                          .zero = a->in_c,
                          .pitch = l->shared ? tap : 0,
                          .row_bytes = l->row_bytes};
  if (l->joined && !l->shared) { /* receptive fields: each starts some columns further */
    cells.begin = l->begin;
    cells.end = l->end;
    cells.back = l->unroll * a->stride_w * tap;
  }
  for (uint32_t sign = 0; sign < snn_int8_signs(ctx->layout); sign++)
    for (uint32_t t = 0; t < n_steps; t++) {
      uint32_t *ends = ends_at(ctx, &l->out, slot, sign, t);
      *ends++ = at;
      for (uint32_t x = 0; x < l->out.cells; x += cells.n) {
        cells.n_spans = find_spans(ctx, l, y, x, sign, t);
        at = ctx->sim->kernels->join(&cells, offsets, at, ends + x);
      }
    }
  return slot;
}

snn_int8_row_sum snn_int8_lists_row(const snn_int8_context *ctx, snn_int8_lists *l, uint32_t y, uint32_t sign,
                                    uint32_t n_steps) {
  const uint32_t slot = join_row(ctx, l, y, n_steps);
  snn_int8_row_sum row = {.ends = ends_at(ctx, &l->out, slot, sign, 0), .begin = l->column, .end = l->column + 1};
  row.sum =
      (snn_int8_sum){.offsets = l->offsets + slot * l->out.entries, .stride = ends_of(&l->out), .negative = sign == 1};
  if (l->shared) {
    const int64_t column = (int64_t)snn_int8_tap_rows(l->term) * l->row_bytes;
    row.begin = l->begin;
    row.end = l->end;
    row.first = -left_of(l, 0) * column;
    row.step = l->term->conv.stride_w * column;
  }
  return row;
}

double snn_int8_lists_rows(const snn_int8_context *ctx, snn_int8_lists *l, uint32_t y, uint32_t n_steps) {
  const uint32_t slot = join_row(ctx, l, y, n_steps), columns = l->term->columns;
  const double rows = ends_at(ctx, &l->out, slot, 0, n_steps - 1)[l->out.cells] - ends_at(ctx, &l->out, slot, 0, 0)[0];
  return rows * (!l->shared ? 1 : columns < l->out.cells ? columns : l->out.cells) / l->out.cells;
}
