/* JSON of the repository extension and of load and unload: malloc'ed text, NULL when out of memory. */
#ifndef SERVER_JSON_REPOSITORY_H
#define SERVER_JSON_REPOSITORY_H

#include "problem.h"
#include "repository.h"

/* The body of an index request; an empty one asks for everything. False with *p set. */
bool json_repository_ready_only(const char *text, size_t n, bool *ready_only, problem *p);

/* The body of a load or unload request: what it would change about the model is refused, since models are files. False
 * with *p set. */
bool json_repository_check_load(const char *text, size_t n, problem *p);

/* The index, in Triton's words; ready_only leaves out what is not served. */
char *json_repository_index(const model_report *reports, size_t n, bool ready_only);

/* What became of a model; entry is NULL when it is not served. */
char *json_repository_state(const char *name, const model_entry *entry);

#endif
