/* The vector tables' common body: whole steps. Included behind what every table has of its own: merge(), sum_rows_of(),
 * put_rows(), chosen(), subtract_where_fired(). */
static void add_rows(const int8_t *weights, uint32_t groups, const uint32_t *rows, uint32_t n, bool add, int32_t *acc) {
  put_rows(weights, groups, rows, n, add ? ADD : SET, acc);
}

static void currents(const snn_int8_sources *from, uint32_t t, int32_t *acc) {
  const size_t lanes = (size_t)from->groups * SNN_LANES;
  if (from->ready) {
    memcpy(acc, from->ready + t * lanes, lanes * sizeof *acc);
    return;
  }
  for (uint32_t k = 0; k < from->n_sums; k++) {
    const snn_int8_sum *sum = &from->sums[k];
    const uint32_t n = merge(sum, t * sum->stride, from->rows);
    if (k == 0 && sum->negative) memset(acc, 0, lanes * sizeof *acc);
    put_rows(sum->weights, from->groups, from->rows, n, sum->negative ? TAKE : k ? ADD : SET, acc);
  }
}

/* Soft reset, the number of groups a constant where this is inlined: everything of a step in one place. */
static inline __attribute__((always_inline)) void soft_steps(const snn_int8_neurons *p, const snn_int8_sources *from,
                                                             const uint32_t groups, uint32_t n_steps, uint64_t valid,
                                                             uint64_t *plus, uint32_t *spikes) {
  _Alignas(64) int32_t acc[SNN_INT8_GROUPS * SNN_LANES];
  const snn_int8_sum *sum = from->sums;
  for (uint32_t t = 0; t < n_steps; t++, plus += groups) {
    const int32_t *in = from->ready ? from->ready + (size_t)t * groups * SNN_LANES : acc;
    if (from->ready)
      ; /* nothing to add */
    else if (from->n_sums == 1 && !sum->negative)
      sum_rows_of(sum->weights, groups, from->rows, merge(sum, t * sum->stride, from->rows), acc);
    else if (from->n_sums)
      currents(from, t, acc);
    for (uint32_t g = 0; g < groups; g++) {
      uint64_t fired = 0;
      for (uint32_t lane = 0; lane < SNN_LANES; lane += STEP) {
        const uint32_t i = g * SNN_LANES + lane;
        ivec v = load(p->v + i) + load(p->constant + i);
        if (from->n_sums) v += load(in + i) << (int32_t)p->fraction;
        for (uint32_t k = 0; k < from->n_wires; k++) {
          const snn_int8_wire *wire = &from->wires[k];
          const ivec amount = chosen(load(wire->amount + i), wire->bits[(size_t)t * groups + g] >> lane);
          v = wire->negative ? v - amount : v + amount;
        }
        unsigned here;
        store(p->v + i, subtract_where_fired(v, load(p->level + i), load(p->theta + i), &here));
        fired |= (uint64_t)here << lane;
      }
      plus[g] = g + 1 == groups ? fired & valid : fired;
      spikes[t] += (uint32_t)__builtin_popcountll(plus[g]);
    }
  }
}

static void steps(snn_int8_reset model, const snn_int8_neurons *p, const snn_int8_sources *from, uint32_t n_steps,
                  uint64_t valid, uint64_t *plus, uint64_t *minus, uint32_t *spikes) {
  const uint32_t groups = from->groups;
  if (model == SNN_INT8_SOFT) {
    switch (groups) {
      case 1: soft_steps(p, from, 1, n_steps, valid, plus, spikes); return;
      case 2: soft_steps(p, from, 2, n_steps, valid, plus, spikes); return;
      case 4: soft_steps(p, from, 4, n_steps, valid, plus, spikes); return;
      default: soft_steps(p, from, groups, n_steps, valid, plus, spikes); return;
    }
  }
  _Alignas(64) int32_t acc[SNN_INT8_GROUPS * SNN_LANES];
  _Alignas(64) int32_t more[SNN_INT8_GROUPS * SNN_LANES];
  snn_int8_neurons now = *p;
  now.acc = from->n_sums ? acc : NULL;
  now.more = from->n_wires ? more : NULL;
  for (uint32_t t = 0; t < n_steps; t++, plus += groups, minus += groups) {
    currents(from, t, acc);
    if (from->n_wires) memset(more, 0, groups * SNN_LANES * sizeof *more);
    for (uint32_t k = 0; k < from->n_wires; k++) {
      const snn_int8_wire *wire = &from->wires[k];
      for (uint32_t g = 0; g < groups; g++)
        add_spikes(wire->bits[(size_t)t * groups + g], wire->amount + g * SNN_LANES, wire->negative,
                   more + g * SNN_LANES);
    }
    spikes[t] += (uint32_t)fire(model, &now, groups, valid, plus, minus);
  }
}
