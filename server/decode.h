/* Decode workers: a body becomes the network's inputs.
 *
 * A small, fixed number of threads parses JSON, decodes PNGs, resamples and normalises, so that neither the socket
 * threads nor the scheduler ever wait for a large picture. What is decoded goes to the scheduler, what cannot be is
 * done. */
#ifndef SERVER_DECODE_H
#define SERVER_DECODE_H

#include "inference.h"
#include "scheduler.h"

typedef struct decode_pool decode_pool;

/* Start n_workers threads; NULL when a thread or memory is refused. `next` is borrowed until decode_stop. */
decode_pool *decode_start(unsigned n_workers, scheduler *next);

/* Hand over (takes). inf->done is called, from another thread, once there is an answer or a problem. One small picture
 * goes straight to the scheduler, whose threads decode such: a hop less. */
void decode_submit(decode_pool *pool, inference *inf);

/* Finish, with a problem, those in the queue that were cancelled or whose deadline has passed. Any thread may call. */
void decode_sweep(decode_pool *pool);

/* End the threads. Nothing may be queued any more; NULL is allowed. */
void decode_stop(decode_pool *pool);

/* The work itself, on the calling thread: body to inputs. False with inf->problem set. */
bool decode_inference(inference *inf);

/* The pictures of the body to inputs, which inference_allocate made. False with inf->problem set. */
bool decode_pictures(inference *inf);

/* One PNG to one normalised input of shape.c * shape.h * shape.w floats. *pixels_left is the request's remaining budget
 * and is lowered. With `preview`, *preview becomes the 8-bit picture as base64 PNG (malloc'ed). `what` names the
 * picture in messages. False with *p set. */
bool decode_picture(const uint8_t *png, size_t n_png, snn_shape shape, const snn_preprocess *pre, uint64_t *pixels_left,
                    const char *what, float *out, char **preview, problem *p);

#endif
