/* Stored weights to floats. Invariant: bytes are given back only once they are floats, behind the lock under which
 * everybody else reads them. */
#include "graph/stored.h"

#include <endian.h>
#include <math.h>
#include <string.h>

#include "kernels/kernels.h"

void snn_stored_expand(const snn_stored *s, size_t row, size_t first, size_t n, float *out) {
  const size_t at = row * s->channels + first;
  if (s->kind == SNN_STORED_F16)
    snn_kernels_get()->expand_f16(s->bytes + 2 * at, n, out);
  else
    snn_kernels_get()->expand_i8(s->bytes + at, s->scale + first, n, out);
}

void snn_stored_expand_all(const snn_stored *s) {
  for (size_t row = 0; row < s->rows; row++) snn_stored_expand(s, row, 0, s->channels, s->weights + row * s->channels);
}

bool snn_stored_is_finite(const snn_stored *s) {
  enum { PIECE = 512, EXPONENT = 0x7c00 };
  const size_t n = s->rows * s->channels;
  for (size_t c = 0; s->kind == SNN_STORED_I8 && c < s->channels; c++)
    if (!isfinite(s->scale[c] * 128.0f)) return false;
  uint16_t halves[PIECE];
  for (size_t first = 0; s->kind == SNN_STORED_F16 && first < n; first += PIECE) {
    const size_t count = n - first < PIECE ? n - first : PIECE;
    bool special = false;
    memcpy(halves, s->bytes + 2 * first, 2 * count);
    for (size_t i = 0; i < count; i++) special |= (le16toh(halves[i]) & EXPONENT) == EXPONENT;
    if (special) return false;
  }
  return true;
}

const snn_stored *snn_graph_stored(const snn_network *net, const float *weights) {
  if (atomic_load_explicit(&net->shared->has_floats, memory_order_relaxed)) return NULL;
  const snn_stored *s = net->stored;
  while (s && s->weights != weights) s = s->next;
  return s;
}

void snn_graph_want_floats(const snn_network *net, uint32_t threads) {
  snn_shared *shared = net->shared;
  if (!net->stored || atomic_load_explicit(&shared->has_floats, memory_order_acquire)) return;
  pthread_mutex_lock(&shared->lock);
  if (!atomic_load_explicit(&shared->has_floats, memory_order_relaxed)) {
    for (const snn_stored *s = net->stored; s; s = s->next) {
      snn_expect_all(s->weights, s->rows * s->channels * sizeof *s->weights);
#pragma omp parallel for num_threads((int)threads) schedule(static)
      for (size_t row = 0; row < s->rows; row++)
        snn_stored_expand(s, row, 0, s->channels, s->weights + row * s->channels);
      if (shared->drop) shared->drop(s->bytes, snn_stored_bytes(s));
    }
    atomic_store_explicit(&shared->has_floats, true, memory_order_release);
  }
  pthread_mutex_unlock(&shared->lock);
}

void snn_network_spare(const snn_network *net, void (*drop)(const void *bytes, size_t n_bytes)) {
  for (const snn_spare *s = net->spares; s; s = s->next) drop(s->bytes, s->n_bytes);
  pthread_mutex_lock(&net->shared->lock);
  net->shared->drop = drop;
  for (const snn_stored *s = net->stored; s && atomic_load(&net->shared->has_floats); s = s->next)
    drop(s->bytes, snn_stored_bytes(s));
  pthread_mutex_unlock(&net->shared->lock);
}
