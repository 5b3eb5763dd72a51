/* One classification on its way: the body as it came, the pictures as the network wants them, the answer's numbers.
 *
 * It has exactly one owner at a time, and so needs no lock: the socket thread (upload), a decode worker, the scheduler,
 * and the socket thread again (answer). Each hands it on and does not look back. Knows no HTTP and no JSON. */
#ifndef SERVER_INFERENCE_H
#define SERVER_INFERENCE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ledger.h"
#include "options.h"
#include "problem.h"
#include "registry.h"

enum {
  IMAGES_MAX = 64,             /* pictures in a request */
  PICTURE_SIDE_MAX = 4096,     /* width and height of one */
  PIXELS_MAX = 16 << 20,       /* pixels of all pictures of a request */
  WORK_MAX = 16384,            /* pictures times timesteps of a request */
  STEP_SCORES_MAX = 262144,    /* pictures times timesteps times classes of one that wants the scores of every step */
  OPTIONS_TEXT_MAX = 16 * 1024 /* bytes of the multipart part `options` */
};

typedef enum body_kind { BODY_UNTYPED, BODY_PNG, BODY_JSON, BODY_MULTIPART, BODY_OIP } body_kind;

typedef struct span {
  size_t offset, n; /* in the body */
} span;

typedef struct inference {
  struct inference *next;   /* in whatever queue it waits */
  model_entry *model;       /* a reference */
  calibration *calibration; /* in force when it began, or named by it; a reference, NULL: the model's own */
  options options;
  option_limits limits;

  body_kind kind;
  uint8_t *body; /* owned; gone once decoded */
  size_t n_body, body_capacity;
  span images[IMAGES_MAX]; /* encoded PNGs inside the body */
  size_t n_images;
  char *options_text; /* owned; the multipart part `options`, not terminated; NULL when there was none */
  size_t n_options_text;
  struct oip_request *oip; /* owned; of BODY_OIP */

  float *inputs;                                 /* [n_images][C][H][W] */
  float *scores;                                 /* [n_images][classes] */
  float *reference;                              /* the same, with options.reference */
  uint64_t *spikes, *synaptic_operations, *macs; /* [n_images][layers] */
  snn_first_spikes *first_spikes;                /* the same, with options.trace_layers */
  uint32_t *timesteps_used;                      /* [n_images] */
  float *step_scores;                            /* [n_images][timesteps][classes], with options.trace_steps */
  char **previews;                               /* [n_images] base64 PNGs, with options.preview */

  struct {
    uint64_t received, decode_begin, decode_end, run_begin, run_end; /* snn_clock_ns */
  } at;
  size_t n_handed_out, n_out; /* pictures that were given to threads to simulate; that they are still at */
  uint64_t deadline_ns;       /* 0: none */
  atomic_bool cancel;         /* raised by anyone: the answer is not wanted any more */
  atomic_bool gone;           /* with cancel: because the client left */
  problem problem;            /* the first thing that went wrong */

  ledger *ledger; /* borrowed */
  size_t held_bytes;
  bool has_place;

  void (*decode)(struct inference *); /* for whoever simulates it to call first; NULL: a decode worker has done it */
  void (*done)(struct inference *);   /* called by the last worker; the callee is the next owner */
  void *owner;
} inference;

/* Takes the reference `model` on success. NULL when out of memory. */
inference *inference_create(model_entry *model, const option_limits *limits, ledger *l);
void inference_destroy(inference *inf); /* NULL is allowed */

/* Append upload bytes to the body; growth is held in the ledger. False with `problem` set: busy. */
bool inference_append(inference *inf, const void *bytes, size_t n);

/* The next appended bytes begin a picture; false with `problem` set: too many. */
bool inference_begin_image(inference *inf);

/* Append to the options part. False with `problem` set. */
bool inference_append_options(inference *inf, const void *bytes, size_t n);

/* Settle which calibration it uses: the one it names, else the one in force when it began. May read the disk. False
 * with `problem` set. */
bool inference_choose_calibration(inference *inf);

/* Has the calibration in force or its model been asked for these options lately? Settling them takes no time then. */
bool inference_is_known(const inference *inf);

/* Check pictures and timesteps against the limits and allocate inputs and results. False with `problem` set. */
bool inference_allocate(inference *inf);

/* Replace the body and its pictures by those of `from`, which is left empty: text gives way to what it encoded. Both
 * use the same ledger. */
void inference_take_body(inference *inf, inference *from);

/* Free what the network does not need. */
void inference_drop_body(inference *inf);

/* Has its deadline passed, or was it cancelled? True with `problem` set. */
bool inference_expired(inference *inf, uint64_t now_ns);

/* The same question without setting anything, for those who hold the queue it waits in. */
bool inference_is_over(const inference *inf, uint64_t now_ns);

/* Give back the place in the queue, if it has one. */
void inference_leave_queue(inference *inf);

#endif
