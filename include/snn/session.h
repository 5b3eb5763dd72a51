/* A session: the mutable state that simulates one network.
 *
 * A session belongs to one network and is used by one thread at a time; it runs its own OpenMP team inside a call. All
 * memory is allocated at creation, and its size depends neither on T nor on the number of images. Answers do not depend
 * on the number of threads nor on the length of the time chunks, to the last bit. */
#ifndef SNN_SESSION_H
#define SNN_SESSION_H

#include <stdatomic.h>

#include "snn/network.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct snn_session snn_session;

/* Neuron models; each is described, with its equations, in core/neurons. The names are those of the HTTP option
 * `neuron`. */
typedef enum snn_neuron {
  SNN_NEURON_IF,        /* "if": integrate and fire, soft reset. IC-SNN eq. 2-6; Deng & Gu 2021 eq. 3-4 */
  SNN_NEURON_IF_HARD,   /* "if-hard": hard reset to 0. InfLoR-SNN eq. 2-5 */
  SNN_NEURON_LIF,       /* "lif": leaky by `tau` a step, hard reset. InfLoR-SNN eq. 6 */
  SNN_NEURON_LIF_SOFT,  /* "lif-soft": leaky, soft reset */
  SNN_NEURON_SRIF,      /* "srif": fires at theta / 2, soft reset by theta. InfLoR-SNN eq. 8 */
  SNN_NEURON_SRIF_MPR,  /* "srif-mpr": srif with a rectified potential at the threshold; the spikes are those of srif.
                           InfLoR-SNN eq. 10-14 */
  SNN_NEURON_ASG,       /* "asg": integrates the mean current of the whole run. Yan, Zhou & Wong, Algorithm 1 */
  SNN_NEURON_IF_SIGNED, /* "if-signed": also fires -1 at -theta while it has spikes to take back; ternary */
  SNN_NEURON_COUNT
} snn_neuron;

/* Initial membrane potential v(0), as an offset from the neuron's resting start. */
typedef enum snn_init {
  SNN_INIT_ZERO,        /* "zero": 0 */
  SNN_INIT_HALF,        /* "half": theta / 2 */
  SNN_INIT_WEIGHTS,     /* "weights": the mean over the layer of (w T + b) mod theta. IC-SNN, Algorithm 1 */
  SNN_INIT_DATA,        /* "data": what calibration pictures left. IC-SNN, Algorithm 2; see calibrate.h */
  SNN_INIT_COMPENSATED, /* "compensated": IC-SNN, Algorithm 3 */
  SNN_INIT_MATCHED,     /* "matched": mean rates matched to the float network, layer by layer */
  SNN_INIT_COUNT
} snn_init;

/* Does this init need a table, that is a calibration? */
static inline bool snn_init_needs_table(snn_init init) {
  return init >= SNN_INIT_DATA;
}

typedef struct snn_calibration snn_calibration; /* calibrate.h */

/* How the picture drives the first layer. */
typedef enum snn_encoding {
  SNN_ENCODING_DIRECT,  /* "direct": the normalised image itself is the input current at every step */
  SNN_ENCODING_RATE,    /* "rate": a pixel p of [0, 1] sends a spike with probability p at every step (Bernoulli) */
  SNN_ENCODING_REGULAR, /* "regular": it has sent round(t p) spikes after t steps, halves up */
  SNN_N_ENCODINGS
} snn_encoding;

/* How the last layer is read. */
typedef enum snn_readout {
  SNN_READOUT_POTENTIAL, /* "potential": it does not fire; score = (sum over t of I(t)) / T */
  SNN_READOUT_COUNT,     /* "count": it fires like the others, at its own threshold; score = spikes * theta / T */
  SNN_N_READOUTS
} snn_readout;

/* Arithmetic of the simulation. */
typedef enum snn_precision {
  SNN_PRECISION_FLOAT32, /* "float32" */
  SNN_PRECISION_INT8,    /* "int8": weights of 8 bits, whole potentials; core/sim/int8_model.h tells the units */
  SNN_PRECISION_COUNT
} snn_precision;

/* Option names. *_name returns a static string, NULL for a value out of range; *_parse returns false for an unknown
 * name. */
const char *snn_neuron_name(snn_neuron v);
const char *snn_init_name(snn_init v);
const char *snn_encoding_name(snn_encoding v);
const char *snn_readout_name(snn_readout v);
const char *snn_precision_name(snn_precision v);
bool snn_neuron_parse(const char *name, snn_neuron *out);
bool snn_neuron_leaks(snn_neuron v);     /* uses `tau` */
bool snn_neuron_has_steps(snn_neuron v); /* goes step by step, so that scores and first spikes between 1 and T are known
                                          */
bool snn_neuron_is_ternary(snn_neuron v); /* may send -1: not what binary neuromorphic hardware does */
bool snn_init_parse(const char *name, snn_init *out);
bool snn_encoding_parse(const char *name, snn_encoding *out);
bool snn_readout_parse(const char *name, snn_readout *out);
bool snn_precision_parse(const char *name, snn_precision *out);

enum { SNN_MAX_TIMESTEPS = 4096 }; /* the largest T a run accepts */

/* Standing back for work that is more urgent: while *wanted is not 0, every thread of a computation calls `rest`
 * between two pieces of its work, some dozen microseconds each, and goes on when that returns. No answer depends on it.
 */
typedef struct snn_courtesy {
  const atomic_uint *wanted;
  void (*rest)(void *context); /* several threads may be in it at once */
  void *context;
} snn_courtesy;

typedef struct snn_session_options {
  uint32_t threads;  /* OpenMP threads; 0: what the machine (affinity mask, cgroup CPU limit) allows */
  uint32_t chunk;    /* time steps a layer runs before the next layer starts, 1..64; 0: the default */
  uint32_t together; /* images of a batch that a thread carries through a layer before the next one, 1..8; 0: what suits
                        the size of the network */
} snn_session_options;

typedef struct snn_run_options {
  uint32_t timesteps; /* T, 1..SNN_MAX_TIMESTEPS */
  snn_neuron neuron;
  float tau; /* what remains of a potential after a step, (0, 1]; only neurons that leak use it */
  snn_init init;
  const snn_calibration *calibration; /* borrowed, may be NULL: where the init needs a table, its tables count beside
                                         those of the model file, see snn_run_table; ignored otherwise */
  uint32_t shift; /* 1: theta / 2T more current a step into every hidden layer. Deng & Gu 2021, section 4.2 */
  snn_encoding encoding;
  uint32_t seed;                 /* of encoding `rate` */
  const uint32_t *image_numbers; /* [batch], borrowed: what tells images of one seed apart; NULL: place in the batch */
  snn_readout readout;
  snn_precision precision;
  /* End an image early at the step at which the probability (softmax of the scores so far) of one and the same top
   * class has been ahead of the second best one's by at least stop_margin, 0..1, for stop_patience steps in a row.
   * stop_patience 0: never. */
  float stop_margin;
  uint32_t stop_patience;
  uint64_t budget_ns; /* simulate for at most about this long, then answer with the steps done, at least one; images
                         that wait for each other share it. 0: no limit */
  /* Steps at which scores and statistics are taken, strictly ascending, the last one equal to `timesteps`; NULL: only
   * at T. Borrowed for the call. A score at checkpoint k is what a run of that many steps would give, where what
   * depends on T (a calibration, the init `weights`, the shift) is that of `timesteps`. asg runs all of T at once and
   * takes no checkpoint before T. */
  const uint32_t *checkpoints;
  size_t n_checkpoints;
  const atomic_bool *cancel; /* borrowed, may be NULL: checked between layers and chunks; raised -> SNN_ERR_CANCELLED */
  uint64_t deadline_ns;      /* on snn_clock_ns(); 0: none; passed -> SNN_ERR_DEADLINE, checked like `cancel` */
  const snn_courtesy *courtesy; /* borrowed, may be NULL: stands back for nobody */
} snn_run_options;

/* When the neurons of a layer fired first. Their mean is steps / neurons (IC-SNN, Fig. 6). */
typedef struct snn_first_spikes {
  uint64_t neurons; /* that have fired */
  uint64_t steps;   /* the sum of the steps, from 1, at which they did so first; 0 for asg, which knows no steps */
} snn_first_spikes;

/* Counters, caller-owned arrays of [batch][checkpoints][snn_network_layers], cumulated from step 1, and what else is
 * told of a run; each may be NULL. Encoded images are no neurons: their spikes count where they arrive.
 * Operations are charged to the neuron layer at which they arrive (the last layer for the readout),
 * multiply-accumulates of constant currents to the layer that computes them; other entries are 0. */
typedef struct snn_run_stats {
  uint64_t *spikes;              /* spikes a neuron layer emitted */
  uint64_t *synaptic_operations; /* accumulates: spikes of the sources times the fan-out actually used, borders minded
                                    (an average-pooled count c costs c accumulates) */
  uint64_t *macs; /* multiply-accumulates: graded inputs, such as the image itself (once for the whole run) */
  snn_first_spikes *first_spikes; /* of neuron layers; costs a little time where asked for */
  uint32_t *timesteps_used;       /* [batch]: steps simulated; the scores are means over these */
  float *step_scores; /* [batch][timesteps][classes]: scores after every step; not written behind the last used */
} snn_run_stats;

/* Can this run be simulated in int8? Not where layers hand on currents instead of spikes, nor with an encoded image or
 * a firing last layer, nor with a table that scales thresholds of layers whose spikes meet differently, nor (known once
 * a session was made) for more timesteps than its potentials have room for.
 * Errors: UNSUPPORTED, NO_MEMORY. */
snn_status snn_int8_takes(const snn_network *net, const snn_run_options *run, snn_error *err);

/* The precision for a run of which none was asked for: int8 where it can be simulated so, else float32; float32 too for
 * asg where the network recommends it: a quantised network, whose own answers that gives, which rounded weights do not.
 */
snn_precision snn_precision_for(const snn_network *net, const snn_run_options *run);

/* Defaults for a network: what its model file recommends, T = 32 otherwise; int8 where the network allows it. */
snn_run_options snn_run_defaults(const snn_network *net);

/* Is a score at checkpoint k what a run of k steps gives? Not where something depends on T, nor where there are no
 * steps.
 */
bool snn_run_is_cumulative(const snn_run_options *run);

/* The recommended init for the neuron and calibration of a run: what the model file recommends, but `half` where that
 * needs a table and there is none for this neuron. */
snn_init snn_recommended_init(const snn_network *net, const snn_run_options *run);

/* Create a session. `net` is borrowed until snn_session_free; `opt` may be NULL. The team's threads are started here.
 * Errors: ARGUMENT, NO_MEMORY, TOO_LARGE. */
snn_status snn_session_create(const snn_network *net, const snn_session_options *opt, snn_session **out,
                              snn_error *err);

/* Free a session; NULL is allowed. */
void snn_session_free(snn_session *s);

/* Simulate. images: [batch,C,H,W] float32, normalised, borrowed for the call. scores: [batch][checkpoints][classes],
 * caller-owned. stats may be NULL. Allocates nothing. Batches of at least `threads` images run an image a thread,
 * smaller ones with all threads in one image. Errors: ARGUMENT (`where` names the option), CANCELLED, DEADLINE; scores
 * and stats are then undefined. */
snn_status snn_session_run(snn_session *s, const float *images, size_t batch, const snn_run_options *run, float *scores,
                           const snn_run_stats *stats, snn_error *err);

/* Images that are handed to a session one handful after the other: an image a thread, or a few side by side. */
enum { SNN_HANDFUL_MOST = 8 };

typedef struct snn_handful {
  size_t n;
  struct {
    const float *pixels; /* [C,H,W] float32, normalised; borrowed, like all that follows, until `ended` */
    uint32_t number;     /* what tells images of one seed apart */
    float *scores;       /* [checkpoints][classes] */
    snn_run_stats stats; /* of this image; no step_scores */
  } images[SNN_HANDFUL_MOST];
  const atomic_bool *cancel; /* of all of it, like those of snn_run_options */
  uint64_t deadline_ns;
} snn_handful;

/* Both are called on all threads of the team, several at once. */
typedef struct snn_feed {
  /* Up to `most` more images for this thread; may wait for some. False: there are none, the thread has done its part.
   */
  bool (*take)(void *context, uint32_t thread, size_t most, snn_handful *out);
  /* They have been simulated (OK), or not: CANCELLED, DEADLINE. */
  void (*ended)(void *context, uint32_t thread, const snn_handful *handful, snn_status status);
  void *context;
} snn_feed;

/* Simulate what is handed out until there is no more: no thread waits for another one. Of `run`, which may have no
 * budget, cancel, deadline and image numbers are not looked at. Answers are those of snn_session_run. Errors: ARGUMENT;
 * then nothing was taken. */
snn_status snn_session_feed(snn_session *s, const snn_feed *feed, const snn_run_options *run, snn_error *err);

/* The float network the SNN came from, run by our own code. Same arrays, scores: [batch,classes]. Neurons act as ReLU
 * or Clip. Of `run` only `courtesy` and, between layers, `cancel` and `deadline_ns` are looked at; NULL: none of them.
 * Errors: CANCELLED, DEADLINE; scores are then undefined. */
snn_status snn_session_reference(snn_session *s, const float *images, size_t batch, const snn_run_options *run,
                                 float *scores, snn_error *err);

uint32_t snn_session_threads(const snn_session *s);
const char *snn_int8_kernels_name(void); /* the same of the integer kernels */
const char *snn_kernels_name(void);      /* the kernel table in use on this machine, such as "scalar"; static */

/* Monotonic clock in nanoseconds: the base of deadline_ns. */
uint64_t snn_clock_ns(void);

/* CPUs this process may use: the smallest of online CPUs, affinity mask and cgroup quota (rounded up); at least 1. */
uint32_t snn_thread_budget(void);

#ifdef __cplusplus
}
#endif
#endif
