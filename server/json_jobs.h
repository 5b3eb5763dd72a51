/* Jobs as JSON: their options in, their files both ways, what clients are told. */
#ifndef SERVER_JSON_JOBS_H
#define SERVER_JSON_JOBS_H

#include "jobs.h"

/* The multipart part `options`, over the defaults in *out. False with *p set: it names the member. */
bool json_jobs_parse_options(const char *text, size_t n, uint32_t max_timesteps, job_options *out, problem *p);

/* Options as an object; a new reference. */
struct json_t *json_jobs_options(const job_options *o);

/* For the file (`whole`), or for clients. Malloc'ed; NULL when out of memory. */
char *json_jobs_print(const job_record *r, bool whole);
bool json_jobs_parse(const char *text, size_t n, job_record *out);

#endif
