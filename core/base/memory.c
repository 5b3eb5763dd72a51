/* Checked allocation and the arena. Every block starts on a cache line; sizes are checked before they are rounded up.
 * Does not report: callers turn NULL into SNN_ERR_NO_MEMORY with a word about what it was for. */
#include "base/memory.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

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

#ifndef __SANITIZE_ADDRESS__
/* A mapping of some bytes; large ones begin with a huge page. */
static void *map(size_t bytes) {
  const size_t room = bytes < HUGE_PAGE ? bytes : bytes + HUGE_PAGE;
  if (room < bytes) return NULL;
  void *p = mmap(NULL, room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (p == MAP_FAILED || room == bytes) return p == MAP_FAILED ? NULL : p;
  const uintptr_t begin = (uintptr_t)p, aligned = (begin + HUGE_PAGE - 1) & ~(uintptr_t)(HUGE_PAGE - 1);
  const size_t page = (size_t)sysconf(_SC_PAGESIZE);
  const uintptr_t end = (aligned + bytes + page - 1) / page * page;
  if (aligned > begin) munmap(p, aligned - begin);
  if (begin + room > end) munmap((void *)end, begin + room - end);
  return (void *)aligned;
}
#endif

/* The length of the mapping lies in front. A sanitizer watches the ends of what malloc gives, not of mappings. */
void *snn_alloc_pages(size_t n, size_t size) {
#ifdef __SANITIZE_ADDRESS__
  return snn_alloc_array(n, size);
#else
  size_t bytes;
  if (!snn_mul(n, size, &bytes) || !snn_add(bytes, ALIGNMENT, &bytes)) return NULL;
  void *p = map(bytes);
  if (!p) return NULL;
  *(size_t *)p = bytes;
  return (char *)p + ALIGNMENT;
#endif
}

/* From the huge page on in which they begin: what lies before them there is the allocation's own head. */
void snn_expect_all(void *p, size_t n_bytes) {
  const uintptr_t begin = (uintptr_t)p & ~(uintptr_t)(HUGE_PAGE - 1),
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

/* A new head block for `payload` bytes at least. */
static snn_arena_block *add_block(snn_arena *arena, size_t payload) {
  size_t total;
  if (payload < BLOCK_BYTES) payload = BLOCK_BYTES;
  if (!snn_add(payload, ALIGNMENT, &total)) return NULL;
  const bool is_pages = total >= PAGES_BYTES; /* already zero, and the system's again at once when freed */
  snn_arena_block *b = is_pages ? snn_alloc_pages(total, 1) : snn_alloc_array(total, 1);
  if (!b) return NULL;
  b->is_pages = is_pages;
  b->size = payload;
  b->next = arena->blocks;
  arena->blocks = b;
  return b;
}

void *snn_arena_alloc(snn_arena *arena, size_t n, size_t size) {
  size_t bytes;
  if (!snn_mul(n, size, &bytes) || !round_up(bytes ? bytes : 1, &bytes)) return NULL;
  snn_arena_block *b = arena->blocks;
  if (!b || b->size - b->used < bytes) b = add_block(arena, bytes);
  if (!b) return NULL;
  char *p = (char *)b + ALIGNMENT + b->used;
  b->used += bytes;
  return p;
}

void snn_arena_expect(snn_arena *arena, size_t n_bytes) {
  size_t bytes;
  if (n_bytes < HUGE_PAGE || !round_up(n_bytes, &bytes)) return;
  snn_arena_block *b = add_block(arena, bytes);
  if (b) snn_expect_all(b, ALIGNMENT + b->size);
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
