/* `snn bench`: how long a picture takes, and how many pictures a second. Pictures come from --data, or are made: smooth
 * blobs of fixed seed, so that runs compare. Speed depends on the spikes, so they are reported beside it. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tool/tool.h"

enum { KEY_BATCH = TOOL_KEY_OWN, KEY_SECONDS, PICTURES = 32, MIN_RUNS = 5 };

typedef struct arguments {
  tool_request request;
  const char *data;
  uint32_t timesteps[TOOL_MAX_LIST];
  size_t n_timesteps;
  uint32_t batch, seconds;
  bool json;
} arguments;

static const struct argp_option options[] = {
    {"timesteps", 'T', "LIST", 0, "such as 8,32 (default: the model's recommendation)", 0},
    {"batch", KEY_BATCH, "B", 0, "pictures a call (default 1)", 0},
    {"data", TOOL_KEY_DATA, "DATA", 0, "real pictures (default: made ones)", 0},
    {"seconds", KEY_SECONDS, "S", 0, "measure each T for about this long (default 2)", 0},
    {"json", TOOL_KEY_JSON, NULL, 0, "as JSON", 0},
    {0}};

static error_t parse(int key, char *arg, struct argp_state *state) {
  arguments *a = state->input;
  switch (key) {
    case 'T': a->n_timesteps = tool_timesteps(state, arg, a->timesteps); return 0;
    case KEY_BATCH: a->batch = tool_number(state, "batch", arg, 1, 4096); return 0;
    case KEY_SECONDS: a->seconds = tool_number(state, "seconds", arg, 1, 3600); return 0;
    case TOOL_KEY_DATA: a->data = arg; return 0;
    case TOOL_KEY_JSON: a->json = true; return 0;
    case ARGP_KEY_INIT: state->child_inputs[0] = state->child_inputs[1] = &a->request; return 0;
    default: return ARGP_ERR_UNKNOWN;
  }
}

/* Picture k of the made ones: three blobs on black, placed by a fixed sequence. */
static void make_picture(snn_shape shape, uint32_t k, uint8_t *pixels) {
  uint32_t state = 2463534242u + 97u * k;
  float x[3], y[3], level[3];
  for (int b = 0; b < 3; b++) {
    float *const to[] = {&x[b], &y[b], &level[b]};
    for (int i = 0; i < 3; i++) {
      state ^= state << 13; /* xorshift32 (Marsaglia 2003) */
      state ^= state >> 17;
      state ^= state << 5;
      *to[i] = (float)(state >> 8) / 16777216.0f;
    }
  }
  for (uint32_t r = 0; r < shape.h; r++)
    for (uint32_t c = 0; c < shape.w; c++) {
      float v = 0;
      for (int b = 0; b < 3; b++) {
        float dy = ((float)r + 0.5f) / (float)shape.h - y[b], dx = ((float)c + 0.5f) / (float)shape.w - x[b];
        v += (0.4f + 0.6f * level[b]) * expf(-25.0f * (dx * dx + dy * dy));
      }
      for (uint32_t i = 0; i < shape.c; i++)
        pixels[((size_t)r * shape.w + c) * shape.c + i] = (uint8_t)(255.0f * fminf(1.0f, v));
    }
}

typedef struct measurement {
  uint32_t timesteps;
  size_t runs;
  double min_ms, median_ms, rate; /* of a call; spikes per neuron and step */
} measurement;

static int ascending(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

typedef struct bench {
  tool_model model;
  uint32_t batch, seconds;
  float *images; /* [PICTURES + batch - 1], the first ones repeated, so that a batch may start at any picture */
  float *scores;
  uint64_t *spikes;
  double *times; /* [capacity] */
  size_t capacity;
} bench;

static snn_status measure(bench *b, uint32_t timesteps, measurement *out, snn_error *err) {
  size_t input = snn_shape_size(snn_network_input(b->model.net)), layers = snn_network_layers(b->model.net);
  snn_run_stats stats = {.spikes = b->spikes};
  uint64_t spikes = 0, started = 0;
  size_t n = 0;
  b->model.run.timesteps = timesteps;
  for (size_t k = 0; n < b->capacity; k++) {
    uint64_t t0 = snn_clock_ns();
    snn_status status = snn_session_run(b->model.session, b->images + k * b->batch % PICTURES * input, b->batch,
                                        &b->model.run, b->scores, &stats, err);
    if (status != SNN_OK) return status;
    uint64_t t1 = snn_clock_ns();
    if (k == 0) { /* the first call warms the caches */
      started = t1;
      continue;
    }
    b->times[n++] = (double)(t1 - t0) / 1e6;
    for (size_t i = 0; i < b->batch * layers; i++) spikes += b->spikes[i];
    if (n >= MIN_RUNS && t1 - started > b->seconds * 1000000000ull) break;
  }
  qsort(b->times, n, sizeof *b->times, ascending);
  uint64_t neurons = tool_neurons(b->model.net, &b->model.run);
  *out = (measurement){.timesteps = timesteps,
                       .runs = n,
                       .min_ms = b->times[0],
                       .median_ms = b->times[n / 2],
                       .rate = neurons ? (double)spikes / (double)(n * b->batch) / (double)neurons / timesteps : 0};
  return SNN_OK;
}

/* PICTURES made inputs: *images is malloc'ed. */
static snn_status make_pictures(const snn_network *net, float **images, snn_error *err) {
  snn_shape shape = snn_network_input(net);
  size_t input = snn_shape_size(shape);
  uint8_t *pixels = malloc(input);
  float *out = calloc(PICTURES, input * sizeof *out);
  for (uint32_t k = 0; pixels && out && k < PICTURES; k++) {
    make_picture(shape, k, pixels);
    snn_image_normalise(pixels, shape, snn_network_preprocess(net), out + k * input);
  }
  snn_status status = pixels && out ? SNN_OK : (err->status = SNN_ERR_NO_MEMORY);
  free(pixels);
  if (status == SNN_OK)
    *images = out;
  else
    free(out);
  return status;
}

static snn_status prepare(bench *b, const char *data, snn_error *err) {
  const snn_network *net = b->model.net;
  size_t input = snn_shape_size(snn_network_input(net)), total = PICTURES + b->batch - 1, n = PICTURES;
  float *pictures = NULL;
  snn_status status =
      data ? tool_load_pictures(data, net, PICTURES, &pictures, &n, err) : make_pictures(net, &pictures, err);
  if (status != SNN_OK) return status;
  b->capacity = 1 << 16;
  b->images = calloc(total, input * sizeof(float));
  b->scores = calloc(b->batch, snn_network_classes(net) * sizeof(float));
  b->spikes = calloc(b->batch, snn_network_layers(net) * sizeof *b->spikes);
  b->times = calloc(b->capacity, sizeof *b->times);
  if (!b->images || !b->scores || !b->spikes || !b->times) status = err->status = SNN_ERR_NO_MEMORY;
  for (size_t i = 0; status == SNN_OK && i < total; i++)
    memcpy(b->images + i * input, pictures + i % PICTURES % n * input, input * sizeof *pictures);
  free(pictures);
  return status;
}

static int print_json(const bench *b, const measurement *m, size_t n) {
  json_t *rows = json_array();
  for (size_t i = 0; i < n; i++)
    json_array_append_new(rows, json_pack("{s:i, s:I, s:f, s:f, s:f, s:f}", "timesteps", (int)m[i].timesteps, "runs",
                                          (json_int_t)m[i].runs, "min_ms", m[i].min_ms, "median_ms", m[i].median_ms,
                                          "images_per_second", 1000.0 * b->batch / m[i].median_ms, "rate", m[i].rate));
  json_t *answer = json_pack("{s:s, s:i, s:i, s:s, s:o}", "model", snn_network_name(b->model.net), "threads",
                             (int)snn_session_threads(b->model.session), "batch", (int)b->batch, "kernels",
                             snn_kernels_name(), "rows", rows);
  return tool_print_json(tool_set_run(answer, &b->model.run));
}

static void print_table(const bench *b, const measurement *m, size_t n) {
  char name[TOOL_MAX_TEXT], text[TOOL_MAX_RUN];
  printf("%s: %u threads, batch %u, %s, kernels %s\n", tool_plain(snn_network_name(b->model.net), name),
         snn_session_threads(b->model.session), b->batch, tool_run_text(&b->model.run, text), snn_kernels_name());
  printf("%5s  %8s  %12s  %12s  %10s  %8s\n", "T", "runs", "min ms", "median ms", "images/s", "rate");
  for (size_t i = 0; i < n; i++)
    printf("%5u  %8zu  %12.3f  %12.3f  %10.1f  %8.4f\n", m[i].timesteps, m[i].runs, m[i].min_ms, m[i].median_ms,
           1000.0 * b->batch / m[i].median_ms, m[i].rate);
}

int tool_bench(int argc, char **argv) {
  static const struct argp_child children[] = {{&tool_model_argp, 0, NULL, 0}, {&tool_run_argp, 0, NULL, 0}, {0}};
  static const struct argp argp = {options,  parse, NULL, "Measure speed: milliseconds a call, pictures a second.",
                                   children, NULL,  NULL};
  arguments a = {.batch = 1, .seconds = 2};
  int code = tool_parse(&argp, argc, argv, &a);
  if (code != EXIT_OK) return code;

  bench b = {.batch = a.batch, .seconds = a.seconds};
  measurement rows[TOOL_MAX_LIST];
  snn_error err = {0};
  const char *subject;
  snn_status status = tool_open_model(&a.request, &b.model, &subject, &err);
  if (status == SNN_OK) {
    if (!a.n_timesteps) a.timesteps[a.n_timesteps++] = b.model.run.timesteps;
    if (a.data) subject = a.data;
    status = prepare(&b, a.data, &err);
  }
  for (size_t i = 0; status == SNN_OK && i < a.n_timesteps; i++) {
    subject = a.request.model;
    status = measure(&b, a.timesteps[i], &rows[i], &err);
  }
  if (status != SNN_OK)
    code = tool_fail(subject, &err);
  else if (a.json)
    code = print_json(&b, rows, a.n_timesteps);
  else
    print_table(&b, rows, a.n_timesteps);
  free(b.images);
  free(b.scores);
  free(b.spikes);
  free(b.times);
  tool_close_model(&b.model);
  return code;
}
