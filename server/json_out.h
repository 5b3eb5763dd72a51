/* Answers as JSON text: native structs in, malloc'ed text out, NULL when out of memory. Reals are printed with 9
 * digits, so that a float32 read back is the same float32. */
#ifndef SERVER_JSON_OUT_H
#define SERVER_JSON_OUT_H

#include "inference.h"

/* Milliseconds of one classification, as the answer and Server-Timing both tell them. */
typedef struct latency {
  double queue, decode, simulate, total;
} latency;

/* `now_ns` ends the total. */
latency json_out_latency(const inference *inf, uint64_t now_ns);

/* The answer of classify. */
char *json_out_answer(const inference *inf, const latency *ms);

/* An RFC 9457 body with the extra member `error`. */
char *json_out_problem(const problem *p, const char *request_id);

#endif
