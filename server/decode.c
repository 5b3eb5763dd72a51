/* The decode workers. Keeps the invariant that a picture's size is checked, alone and together with its neighbours in
 * the request, before its pixels are allocated. Does not know PNG: core/image does. */
#include "decode.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "encoding.h"
#include "json_in.h"
#include "oip.h"
#include "queue.h"
#include "snn/image.h"

/* What a thread that simulates decodes itself: pictures of the size that networks take, in no more bytes than those
 * need, so that nothing packed into them can take long either. */
enum { QUICK_BYTES = 4096, QUICK_SIDE = 64 };

struct decode_pool {
  pthread_mutex_t lock;
  pthread_cond_t work;
  queue waiting;
  bool stopping;
  scheduler *next;
  unsigned n_threads;
  pthread_t threads[];
};

static bool encode_preview(uint8_t *pixels, snn_shape shape, char **out, snn_error *err) {
  snn_image image = {.width = shape.w, .height = shape.h, .channels = shape.c, .pixels = pixels};
  uint8_t *png = NULL;
  size_t n = 0;
  if (snn_image_encode_png(&image, &png, &n, err) != SNN_OK) return false;
  *out = base64_encode(png, n);
  free(png);
  if (!*out) err->status = SNN_ERR_NO_MEMORY;
  return *out != NULL;
}

bool decode_picture(const uint8_t *png, size_t n_png, snn_shape shape, const snn_preprocess *pre, uint64_t *pixels_left,
                    const char *what, float *out, char **preview, problem *p) {
  snn_error err = {0};
  snn_image image = {0};
  uint8_t *resampled = NULL;
  bool ok = false;
  uint32_t width = 0, height = 0;
  if (*pixels_left == 0)
    return problem_set(p, PROBLEM_TOO_LARGE, "%s: the pictures of a request have at most %d pixels together", what,
                       PIXELS_MAX);
  snn_image_limits limits = {.max_width = PICTURE_SIDE_MAX, .max_height = PICTURE_SIDE_MAX, .max_pixels = *pixels_left};
  if (snn_image_probe_png(png, n_png, &limits, &width, &height, &err) != SNN_OK ||
      snn_image_decode_png(png, n_png, &limits, &image, &err) != SNN_OK)
    goto cleanup;
  uint64_t pixels = (uint64_t)image.width * image.height;
  *pixels_left -= pixels < *pixels_left ? pixels : *pixels_left;
  resampled = malloc(snn_shape_size(shape));
  if (!resampled) {
    err.status = SNN_ERR_NO_MEMORY;
    goto cleanup;
  }
  if (snn_image_resample(&image, shape, pre->background, resampled, &err) != SNN_OK) goto cleanup;
  snn_image_normalise(resampled, shape, pre, out);
  if (preview && !encode_preview(resampled, shape, preview, &err)) goto cleanup;
  ok = true;

cleanup:
  if (!ok) problem_from_snn(p, &err, what);
  free(resampled);
  snn_image_free(&image);
  return ok;
}

bool decode_pictures(inference *inf) {
  const snn_network *net = inf->model->network;
  snn_shape shape = snn_network_input(net);
  uint64_t pixels_left = PIXELS_MAX;
  const uint8_t *body = inf->body ? inf->body : (const uint8_t *)""; /* no byte came: an empty picture */
  for (size_t i = 0; i < inf->n_images; i++) {
    if (inference_expired(inf, snn_clock_ns())) return false;
    char what[32];
    snprintf(what, sizeof what, "images[%zu]", i);
    const span *png = &inf->images[i];
    if (!decode_picture(body + png->offset, png->n, shape, snn_network_preprocess(net), &pixels_left,
                        inf->kind == BODY_PNG ? "image" : what, inf->inputs + i * snn_shape_size(shape),
                        inf->previews ? &inf->previews[i] : NULL, &inf->problem))
      return false;
  }
  return true;
}

/* All that decoding needs to know. */
static bool make_room(inference *inf) {
  if (inf->options.timeout_ms) inf->deadline_ns = inf->at.received + inf->options.timeout_ms * UINT64_C(1000000);
  return inference_choose_calibration(inf) && inference_allocate(inf);
}

bool decode_inference(inference *inf) {
  if (inf->kind == BODY_OIP) return oip_decode(inf);
  if (inf->kind == BODY_JSON && !json_in_classify(inf)) return false;
  if (inf->options_text &&
      !json_in_options(inf->options_text, inf->n_options_text, &inf->options, &inf->limits, &inf->problem))
    return false;
  return make_room(inf) && decode_pictures(inf);
}

/* Body to inputs, and the body freed. */
static void decode_and_note(inference *inf) {
  inf->at.decode_begin = snn_clock_ns();
  decode_inference(inf);
  inference_drop_body(inf);
  inf->at.decode_end = snn_clock_ns();
}

/* The same of one that has its room. */
static void decode_quickly(inference *inf) {
  inf->at.decode_begin = snn_clock_ns();
  decode_pictures(inf);
  inference_drop_body(inf);
  inf->at.decode_end = snn_clock_ns();
}

static void give_back(inference *inf) {
  inference_leave_queue(inf);
  inf->done(inf);
}

static void *work(void *context) {
  decode_pool *pool = context;
  for (;;) {
    pthread_mutex_lock(&pool->lock);
    while (!pool->waiting.head && !pool->stopping) pthread_cond_wait(&pool->work, &pool->lock);
    inference *inf = queue_pop(&pool->waiting);
    pthread_mutex_unlock(&pool->lock);
    if (!inf) return NULL;
    decode_and_note(inf);
    if (inf->problem.kind == PROBLEM_NONE)
      scheduler_submit(pool->next, inf);
    else
      give_back(inf);
  }
}

decode_pool *decode_start(unsigned n_workers, scheduler *next) {
  decode_pool *pool = calloc(1, sizeof *pool + n_workers * sizeof *pool->threads);
  if (!pool) return NULL;
  pthread_mutex_init(&pool->lock, NULL);
  pthread_cond_init(&pool->work, NULL);
  pool->next = next;
  for (; pool->n_threads < n_workers; pool->n_threads++)
    if (pthread_create(&pool->threads[pool->n_threads], NULL, work, pool) != 0) {
      decode_stop(pool);
      return NULL;
    }
  return pool;
}

/* Is decoding it a matter of microseconds? One little picture and nothing that has to be parsed, read or packed, nor
 * an option that was not asked for before. */
static bool is_quick(const inference *inf) {
  if (inf->kind != BODY_PNG || inf->n_images != 1 || !inf->n_body || inf->n_body > QUICK_BYTES ||
      *inf->options.calibration || inf->options.preview || inf->options.reference)
    return false;
  const snn_image_limits limits = {
      .max_width = QUICK_SIDE, .max_height = QUICK_SIDE, .max_pixels = QUICK_SIDE * QUICK_SIDE};
  uint32_t width, height;
  snn_error err = {0};
  return snn_image_probe_png(inf->body, inf->n_body, &limits, &width, &height, &err) == SNN_OK &&
         inference_is_known(inf);
}

void decode_submit(decode_pool *pool, inference *inf) {
  if (is_quick(inf)) {
    inf->decode = decode_quickly;
    if (make_room(inf))
      scheduler_submit(pool->next, inf);
    else
      give_back(inf);
    return;
  }
  pthread_mutex_lock(&pool->lock);
  queue_push(&pool->waiting, inf);
  pthread_cond_signal(&pool->work);
  pthread_mutex_unlock(&pool->lock);
}

void decode_sweep(decode_pool *pool) {
  pthread_mutex_lock(&pool->lock);
  inference *over = queue_take_over(&pool->waiting, snn_clock_ns());
  pthread_mutex_unlock(&pool->lock);
  queue_finish(over);
}

void decode_stop(decode_pool *pool) {
  if (!pool) return;
  pthread_mutex_lock(&pool->lock);
  pool->stopping = true;
  pthread_cond_broadcast(&pool->work);
  pthread_mutex_unlock(&pool->lock);
  for (unsigned i = 0; i < pool->n_threads; i++) pthread_join(pool->threads[i], NULL);
  pthread_cond_destroy(&pool->work);
  pthread_mutex_destroy(&pool->lock);
  free(pool);
}
