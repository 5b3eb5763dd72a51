/* The vector tables' common body: whole steps. Included behind what every table has of its own: put_rows() and
 * soft_steps(). */
static void add_rows(const int8_t *weights, uint32_t groups, const uint32_t *offsets, uint32_t n, bool add,
                     int32_t *acc) {
  put_rows(weights, groups, offsets, n, add ? ADD : SET, acc);
}

static void currents(const snn_int8_sources *from, uint32_t t, int32_t *acc) {
  const size_t lanes = (size_t)from->groups * SNN_LANES;
  if (from->ready) {
    memcpy(acc, from->ready + t * lanes, lanes * sizeof *acc);
    return;
  }
  for (uint32_t k = 0; k < from->n_sums; k++) {
    const snn_int8_sum *sum = &from->sums[k];
    const uint32_t begin = sum->from[t * sum->stride], n = sum->to[t * sum->stride] - begin;
    if (k == 0 && sum->negative) memset(acc, 0, lanes * sizeof *acc);
    put_rows(snn_int8_origin(sum), from->groups, sum->offsets + begin, n, sum->negative ? TAKE : k ? ADD : SET, acc);
  }
}

static void steps(snn_int8_reset model, const snn_int8_neurons *p, const snn_int8_sources *from, uint32_t n_steps,
                  uint64_t valid, uint64_t *plus, uint64_t *minus, uint32_t *spikes) {
  const uint32_t groups = from->groups;
  if (model == SNN_INT8_SOFT) {
    soft_steps(p, from, n_steps, valid, plus, spikes);
    return;
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
