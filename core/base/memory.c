/* Checked allocation and the arena. Every block starts on a cache line; sizes are checked before they are rounded up.
 * Does not report: callers turn NULL into SNN_ERR_NO_MEMORY with a word about what it was for. */
#include "base/memory.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define __SANITIZE_ADDRESS__ 1 /* gcc's name */
#endif
#endif

enum { ALIGNMENT = 64, BLOCK_BYTES = 16 * 1024, PAGES_BYTES = 256 * 1024, HUGE_PAGE = 2 * 1024 * 1024 };

struct snn_arena_block {
  snn_arena_block *next;
  size_t used, size; /* bytes of the payload, which starts ALIGNMENT bytes into the block */
  bool is_pages;     /* from snn_alloc_pages */
};

static bool round_up(size_t n, size_t *out) {
  if (!snn_add(n, ALIGNMENT - 1, out)) return false;
  *out &= ~(size_t)(ALIGNMENT - 1);
  return true;
}

void *snn_alloc_array(size_t n, size_t size) {
  size_t bytes;
  if (!snn_mul(n, size, &bytes) || !round_up(bytes ? bytes : 1, &bytes)) return NULL;
  void *p = aligned_alloc(ALIGNMENT, bytes);
  if (p) memset(p, 0, bytes);
  return p;
}

/* The length of the mapping lies in front. A sanitizer watches the ends of what malloc gives, not of mappings. */
void *snn_alloc_pages(size_t n, size_t size) {
#ifdef __SANITIZE_ADDRESS__
  return snn_alloc_array(n, size);
#else
  size_t bytes;
  if (!snn_mul(n, size, &bytes) || !snn_add(bytes, ALIGNMENT, &bytes)) return NULL;
  void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (p == MAP_FAILED) return NULL;
  *(size_t *)p = bytes;
  return (char *)p + ALIGNMENT;
#endif
}

void snn_expect_all(void *p, size_t n_bytes) {
  const uintptr_t begin = ((uintptr_t)p + HUGE_PAGE - 1) & ~(uintptr_t)(HUGE_PAGE - 1),
                  end = ((uintptr_t)p + n_bytes) & ~(uintptr_t)(HUGE_PAGE - 1);
  if (begin < end) (void)madvise((void *)begin, end - begin, MADV_HUGEPAGE); /* only advice */
}

void snn_free_pages(void *p) {
  if (!p) return;
#ifdef __SANITIZE_ADDRESS__
  free(p);
#else
  void *mapping = (char *)p - ALIGNMENT;
  munmap(mapping, *(size_t *)mapping);
#endif
}

void *snn_arena_alloc(snn_arena *arena, size_t n, size_t size) {
  size_t bytes;
  if (!snn_mul(n, size, &bytes) || !round_up(bytes ? bytes : 1, &bytes)) return NULL;
  snn_arena_block *b = arena->blocks;
  if (!b || b->size - b->used < bytes) {
    size_t payload = bytes > BLOCK_BYTES ? bytes : BLOCK_BYTES, total;
    if (!snn_add(payload, ALIGNMENT, &total)) return NULL;
    const bool is_pages = total >= PAGES_BYTES; /* already zero, and the system's again at once when freed */
    b = is_pages ? snn_alloc_pages(total, 1) : snn_alloc_array(total, 1);
    if (!b) return NULL;
    b->is_pages = is_pages;
    b->size = payload;
    b->next = arena->blocks;
    arena->blocks = b;
  }
  char *p = (char *)b + ALIGNMENT + b->used;
  b->used += bytes;
  return p;
}

char *snn_arena_text(snn_arena *arena, const char *s, size_t n) {
  size_t total;
  if (!snn_add(n, 1, &total)) return NULL;
  char *p = snn_arena_alloc(arena, total, 1);
  if (p && n) memcpy(p, s, n);
  return p;
}

void snn_arena_free(snn_arena *arena) {
  while (arena->blocks) {
    snn_arena_block *next = arena->blocks->next;
    if (arena->blocks->is_pages)
      snn_free_pages(arena->blocks);
    else
      free(arena->blocks);
    arena->blocks = next;
  }
}
