/* Checked sizes, and an arena: many small allocations with one lifetime, freed at once. */
#ifndef SNN_BASE_MEMORY_H
#define SNN_BASE_MEMORY_H

#include <stdbool.h>
#include <stddef.h>

/* *out = a * b; false on overflow. Every size read from outside goes through these before it is allocated. */
static inline bool snn_mul(size_t a, size_t b, size_t *out) {
  return !__builtin_mul_overflow(a, b, out);
}
static inline bool snn_add(size_t a, size_t b, size_t *out) {
  return !__builtin_add_overflow(a, b, out);
}

/* Zeroed array of n elements, aligned to 64 bytes (a cache line, one AVX-512 vector); NULL when out of memory or n *
 * size overflows. n = 0 gives a valid pointer. Freed with free(). */
void *snn_alloc_array(size_t n, size_t size);

/* The same for large arrays of which only what is used should take memory: pages are the system's own, zero until they
 * are written. Freed with snn_free_pages, NULL allowed. */
void *snn_alloc_pages(size_t n, size_t size);
void snn_free_pages(void *p);

/* Say that all of these bytes, of whichever allocation, will soon be written: whole huge pages among them are then
 * taken at one fault each instead of 512, which is most of the time that large weights take to load. */
void snn_expect_all(void *p, size_t n_bytes);

typedef struct snn_arena_block snn_arena_block;

/* A zero-initialised struct is an empty arena. One owner, not thread-safe. */
typedef struct snn_arena {
  snn_arena_block *blocks;
} snn_arena;

/* Zeroed, aligned to 64 bytes, lent until snn_arena_free; NULL when out of memory or on overflow. */
void *snn_arena_alloc(snn_arena *arena, size_t n, size_t size);

/* Have the next allocations, n bytes in all, lie together, and say that all of them will soon be written. Nothing is
 * lost when that fails, or when they are more. */
void snn_arena_expect(snn_arena *arena, size_t n_bytes);

/* A copy of n bytes of s, terminated; NULL when out of memory. */
char *snn_arena_text(snn_arena *arena, const char *s, size_t n);

void snn_arena_free(snn_arena *arena);

#endif
