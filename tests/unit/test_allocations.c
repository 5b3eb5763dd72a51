/* A run takes no memory: all of it was taken when the session was made, for images alone and for many, in both
 * precisions. The Makefile wraps the allocators of this test to count them. */
#include <stdatomic.h>
#include <sys/mman.h>

#include "run.h"

static atomic_ulong taken;

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
void *__real_aligned_alloc(size_t alignment, size_t n);
void *__real_mmap(void *p, size_t n, int protection, int flags, int fd, off_t offset);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t n);
void *__wrap_aligned_alloc(size_t alignment, size_t n);
void *__wrap_mmap(void *p, size_t n, int protection, int flags, int fd, off_t offset);

void *__wrap_malloc(size_t n) {
  taken++;
  return __real_malloc(n);
}

void *__wrap_calloc(size_t n, size_t size) {
  taken++;
  return __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t n) {
  taken++;
  return __real_realloc(p, n);
}

void *__wrap_aligned_alloc(size_t alignment, size_t n) {
  taken++;
  return __real_aligned_alloc(alignment, n);
}

void *__wrap_mmap(void *p, size_t n, int protection, int flags, int fd, off_t offset) {
  taken++;
  return __real_mmap(p, n, protection, flags, fd, offset);
}

static void test_runs_take_no_memory(void **state) {
  (void)state;
  builder b = small_network(2, 0.7f);
  float *images = random_images(&b, 5);
  for (uint32_t threads = 1; threads <= 2; threads++) {
    snn_session *s = session(b.net, threads, 0);
    assert_true(taken > 0); /* they are counted */
    for (int neuron = 0; neuron < SNN_NEURON_COUNT; neuron++)
      for (int precision = 0; precision < SNN_PRECISION_COUNT; precision++)
        for (size_t batch = 1; batch <= 5; batch += 4) {
          snn_run_options o = {.timesteps = 40,
                               .neuron = (snn_neuron)neuron,
                               .tau = 0.7f,
                               .init = SNN_INIT_HALF,
                               .precision = (snn_precision)precision};
          answers a = make_answers(b.net, batch, 1);
          snn_error err = {0};
          const unsigned long before = taken;
          snn_status status = run_into(s, images, batch, &o, &a, &err);
          const unsigned long after = taken;
          if (status != SNN_OK) fail_msg("%s: %s", err.where, err.text);
          if (after != before)
            fail_msg("%s, %s, %zu images: %lu allocations", snn_neuron_name(o.neuron), snn_precision_name(o.precision),
                     batch, after - before);
          free_answers(&a);
        }
    snn_session_free(s);
  }
  snn_network_free(b.net);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_runs_take_no_memory)};
  return cmocka_run_group_tests_name("allocations", tests, NULL, NULL);
}
