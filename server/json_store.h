/* The store's small files as JSON, both ways. */
#ifndef SERVER_JSON_STORE_H
#define SERVER_JSON_STORE_H

#include "store.h"

/* Malloc'ed text; NULL when out of memory. */
char *json_store_print_pointer(const store_pointer *p);

/* False when the text is not a pointer. */
bool json_store_parse_pointer(const char *text, size_t n, store_pointer *out);

#endif
