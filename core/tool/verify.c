/* `snn verify`: is a model file still the network it was made from? Its float path beside the ONNX file read operator
 * by operator, beside the scores some other runtime gave, and its spiking path beside both. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tool/tool.h"

enum { KEY_SCORES = TOOL_KEY_OWN, KEY_WRITE_INPUTS, KEY_TOLERANCE };

typedef struct arguments {
  tool_request request;
  const char *onnx, *data, *scores, *write_inputs;
  uint32_t limit, timesteps;
  double tolerance;
  bool json;
} arguments;

static const struct argp_option options[] = {
    {"data", TOOL_KEY_DATA, "DATA", 0, "real pictures (default: noise of fixed seed)", 0},
    {"limit", TOOL_KEY_LIMIT, "N", 0, "on N pictures, evenly spaced (default 16)", 0},
    {"write-inputs", KEY_WRITE_INPUTS, "FILE", 0, "write the inputs as .npy, for another runtime", 0},
    {"scores", KEY_SCORES, "FILE", 0, "what another runtime gave for them: .npy or CSV, a row a picture", 0},
    {"tolerance", KEY_TOLERANCE, "X", 0, "difference allowed, in units of the largest score (default 1e-4)", 0},
    {"timesteps", 'T', "T", 0, "how long to run the spiking network (default 1024; 0: not at all)", 0},
    {"json", TOOL_KEY_JSON, NULL, 0, "as JSON", 0},
    {0}};

static error_t parse(int key, char *arg, struct argp_state *state) {
  arguments *a = state->input;
  char *end;
  switch (key) {
    case 'T': a->timesteps = tool_number(state, "timesteps", arg, 0, SNN_MAX_TIMESTEPS); return 0;
    case TOOL_KEY_DATA: a->data = arg; return 0;
    case TOOL_KEY_LIMIT: a->limit = tool_number(state, "limit", arg, 1, 65536); return 0;
    case KEY_SCORES: a->scores = arg; return 0;
    case KEY_WRITE_INPUTS: a->write_inputs = arg; return 0;
    case KEY_TOLERANCE:
      a->tolerance = strtod(arg, &end);
      if (end == arg || *end || !(a->tolerance >= 0 && a->tolerance < 1))
        argp_error(state, "tolerance: '%s' is not a number from 0 to below 1", arg);
      return 0;
    case TOOL_KEY_JSON: a->json = true; return 0;
    case ARGP_KEY_INIT: state->child_inputs[0] = &a->request; return 0;
    case ARGP_KEY_ARG:
      if (a->request.model) argp_error(state, "an ONNX file and a model file; '%s' is a third one", arg);
      *(a->onnx ? &a->request.model : &a->onnx) = arg;
      return 0;
    case ARGP_KEY_END:
      if (!a->request.model) argp_error(state, "an ONNX file and the model file made of it are needed");
      return 0;
    default: return ARGP_ERR_UNKNOWN;
  }
}

/* How far two sets of scores are apart. */
typedef struct distance {
  double largest, difference, relative; /* relative: difference over largest */
  size_t agree;                         /* pictures with the same best class */
} distance;

/* The larger of a maximum so far and a value; NAN beats all. */
static double more(double most, double value) {
  return isnan(value) || value > most ? value : most;
}

/* Scores of n pictures, `stride` floats apart, beside wanted [n][classes]. */
static distance compare(const float *scores, size_t stride, const float *wanted, size_t n, size_t classes) {
  distance d = {0};
  for (size_t i = 0; i < n; i++) {
    const float *x = scores + i * stride, *y = wanted + i * classes;
    for (size_t c = 0; c < classes; c++) {
      d.largest = more(d.largest, fabs((double)y[c]));
      d.difference = more(d.difference, fabs((double)x[c] - (double)y[c]));
    }
    d.agree += snn_argmax(x, classes) == snn_argmax(y, classes);
  }
  d.relative = d.difference == 0 ? 0 : d.difference / d.largest;
  return d;
}

/* The forms in which another runtime may give scores: a network's Softmax at the end is not part of ours. */
typedef enum score_form { FORM_SCORES, FORM_SOFTMAX, FORM_LOG_SOFTMAX, FORMS } score_form;
static const char *const forms[FORMS] = {"scores", "softmax", "log-softmax"};

static void apply(score_form form, const float *scores, size_t classes, float *out) {
  double top = (double)scores[snn_argmax(scores, classes)], sum = 0;
  for (size_t c = 0; c < classes; c++) sum += exp((double)scores[c] - top);
  for (size_t c = 0; c < classes; c++) {
    double logarithm = (double)scores[c] - top - log(sum);
    out[c] = form == FORM_SCORES ? scores[c] : (float)(form == FORM_SOFTMAX ? exp(logarithm) : logarithm);
  }
}

enum { CHECKPOINTS = 3 };

typedef struct verification {
  tool_model model;
  size_t n, classes;
  float *images, *onnx_scores, *model_scores, *spiking; /* spiking: [n][n_checkpoints][classes] */
  uint32_t checkpoints[CHECKPOINTS];
  size_t n_checkpoints;
  snn_parity parity;
  distance source, other, snn[CHECKPOINTS];
  score_form form; /* of the other runtime's scores */
  snn_array given; /* those */
} verification;

/* Pixels without a pattern, as inputs: the same for every run. */
static snn_status make_noise(verification *v, uint32_t n, snn_error *err) {
  const snn_shape shape = snn_network_input(v->model.net);
  const size_t size = snn_shape_size(shape);
  uint8_t *pixels = malloc(size);
  v->images = calloc(n, size * sizeof *v->images);
  uint32_t state = 2463534242u;
  for (uint32_t k = 0; pixels && v->images && k < n; k++) {
    for (size_t i = 0; i < size; i++) {
      state ^= state << 13; /* xorshift32 (Marsaglia 2003) */
      state ^= state >> 17;
      state ^= state << 5;
      pixels[i] = (uint8_t)(state >> 16);
    }
    snn_image_normalise(pixels, shape, snn_network_preprocess(v->model.net), v->images + k * size);
  }
  v->n = n;
  snn_status status = pixels && v->images ? SNN_OK : (err->status = SNN_ERR_NO_MEMORY);
  free(pixels);
  return status;
}

/* Read the other runtime's scores and compare the model's with them, in the form that comes closest. */
static snn_status compare_given(verification *v, const char *path, snn_error *err) {
  snn_status status = snn_array_read(path, &v->given, err);
  if (status != SNN_OK) return status;
  if (v->given.dims[0] != v->n || v->given.n != v->n * v->classes) {
    snprintf(err->text, sizeof err->text, "it holds %zu rows and %zu numbers; %zu pictures of %zu scores are needed",
             v->given.dims[0], v->given.n, v->n, v->classes);
    return err->status = SNN_ERR_ARGUMENT;
  }
  float *ours = calloc(v->n, v->classes * sizeof *ours);
  if (!ours) return err->status = SNN_ERR_NO_MEMORY;
  for (int form = 0; form < FORMS; form++) {
    for (size_t i = 0; i < v->n; i++)
      apply((score_form)form, v->model_scores + i * v->classes, v->classes, ours + i * v->classes);
    distance d = compare(ours, v->classes, v->given.values, v->n, v->classes);
    if (form && !(d.relative < v->other.relative)) continue;
    v->other = d;
    v->form = (score_form)form;
  }
  free(ours);
  return SNN_OK;
}

/* The spiking network at T/16, T/4 and T, where its neuron knows such steps. */
static snn_status run_spiking(verification *v, uint32_t timesteps, snn_error *err) {
  snn_run_options *run = &v->model.run;
  tool_progress progress = {0};
  for (uint32_t share = 16; share >= 1; share /= 4)
    if (timesteps / share > 0 && (share == 1 || snn_run_is_cumulative(run)))
      v->checkpoints[v->n_checkpoints++] = timesteps / share;
  const size_t row = v->n_checkpoints * v->classes, size = snn_shape_size(snn_network_input(v->model.net));
  v->spiking = calloc(v->n, CHECKPOINTS * v->classes * sizeof *v->spiking); /* row is at most that */
  if (!v->spiking) return err->status = SNN_ERR_NO_MEMORY;
  run->timesteps = timesteps;
  run->checkpoints = v->checkpoints;
  run->n_checkpoints = v->n_checkpoints;
  const size_t group = snn_session_threads(v->model.session);
  for (size_t done = 0, n; done < v->n; done += n) {
    n = v->n - done < group ? v->n - done : group;
    snn_status status =
        snn_session_run(v->model.session, v->images + done * size, n, run, v->spiking + done * row, NULL, err);
    if (status != SNN_OK) return status;
    tool_show_progress(&progress, "spiking", done + n, v->n);
  }
  for (size_t k = 0; k < v->n_checkpoints; k++)
    v->snn[k] = compare(v->spiking + k * v->classes, row, v->model_scores, v->n, v->classes);
  return SNN_OK;
}

/* ---- what it says ---- */

static json_t *number(double x) {
  return isfinite(x) ? json_real(x) : json_null();
}

static json_t *distance_json(const verification *v, const distance *d) {
  return json_pack("{s:o, s:o, s:o, s:f}", "largest", number(d->largest), "difference", number(d->difference),
                   "relative", number(d->relative), "agreement", 100.0 * (double)d->agree / (double)v->n);
}

static json_t *report_json(const verification *v, const arguments *a, bool ok) {
  json_t *source = distance_json(v, &v->source), *other = json_null(), *spiking = json_array();
  json_t *first = json_null();
  if (v->parity.layer < snn_network_layers(v->model.net)) {
    snn_layer_info info = snn_network_layer(v->model.net, v->parity.layer);
    first = json_pack("{s:I, s:s, s:s, s:o}", "layer", (json_int_t)v->parity.layer, "name", info.name, "kind",
                      snn_layer_kind_name(info.kind), "relative", number(v->parity.difference));
  }
  json_object_set_new(source, "layers_comparable", json_boolean(v->parity.comparable));
  json_object_set_new(source, "first_layer", first);
  if (a->scores) {
    other = distance_json(v, &v->other);
    json_object_set_new(other, "compared_as", json_string(forms[v->form]));
  }
  for (size_t k = 0; k < v->n_checkpoints; k++) {
    json_t *row = distance_json(v, &v->snn[k]);
    json_object_set_new(row, "timesteps", json_integer(v->checkpoints[k]));
    json_array_append_new(spiking, row);
  }
  json_t *answer = json_pack("{s:s, s:s, s:I, s:f, s:b, s:o, s:o, s:o}", "model", snn_network_name(v->model.net),
                             "model_version", snn_network_sha256(v->model.net), "pictures", (json_int_t)v->n,
                             "tolerance", a->tolerance, "ok", ok, "onnx", source, "scores", other, "spiking", spiking);
  return tool_set_run(answer, &v->model.run);
}

static void print_distance(const char *what, const verification *v, const distance *d, const char *verdict) {
  printf("  %-34s %12.5g %12.3g %12.3g %8zu/%zu  %s\n", what, d->largest, d->difference, d->relative, d->agree, v->n,
         verdict);
}

static void print_report(const verification *v, const arguments *a) {
  const snn_run_options *run = &v->model.run;
  char what[64], text[TOOL_MAX_RUN];
  printf("%zu %s, tolerance %g of the largest score\n\n", v->n, a->data ? "pictures" : "pictures of noise",
         a->tolerance);
  printf("  %-34s %12s %12s %12s %8s\n", "the model's float network against", "largest", "difference", "relative",
         "same class");
  print_distance("the ONNX file, operator by operator", v, &v->source,
                 v->source.relative <= a->tolerance ? "ok" : "DIFFERS");
  if (a->scores) {
    snprintf(what, sizeof what, "the %s given", forms[v->form]);
    print_distance(what, v, &v->other, v->other.relative <= a->tolerance ? "ok" : "DIFFERS");
  }
  if (v->n_checkpoints)
    printf("\n  the spiking network (%s) against the model's float network\n", tool_run_text(run, text));
  for (size_t k = 0; k < v->n_checkpoints; k++) {
    snprintf(what, sizeof what, "T=%u", v->checkpoints[k]);
    print_distance(what, v, &v->snn[k], "");
  }
  if (v->n_checkpoints)
    puts("  (what is left after many steps is what thresholds below the largest activation cut off)");
}

/* The line on standard error that goes with exit 1. */
static int say_why(const verification *v, const arguments *a) {
  const bool source = v->source.relative <= a->tolerance;
  const distance *d = source ? &v->other : &v->source;
  char name[TOOL_MAX_TEXT];
  fflush(stdout);
  fprintf(stderr, "snn: %s: its scores differ from %s by %.3g of the largest, more than %g", a->request.model,
          source ? a->scores : a->onnx, d->relative, a->tolerance);
  if (source)
    fputs("; it does give the scores of the ONNX file as snn reads it", stderr);
  else if (!v->parity.comparable)
    fputs("; its layers are not those of the ONNX file", stderr);
  else if (v->parity.layer < snn_network_layers(v->model.net))
    fprintf(stderr, "; the first layer to differ is %s '%s', by %.3g of its largest value",
            snn_layer_kind_name(snn_network_layer(v->model.net, v->parity.layer).kind),
            tool_plain(snn_network_layer(v->model.net, v->parity.layer).name, name), v->parity.difference);
  fputc('\n', stderr);
  return EXIT_FAILED;
}

static snn_status verify(verification *v, const arguments *a, const char **subject, snn_error *err) {
  snn_status status;
  *subject = a->data ? a->data : a->request.model;
  if (a->data)
    status = tool_load_pictures(a->data, v->model.net, a->limit, &v->images, &v->n, err);
  else
    status = make_noise(v, a->limit, err);
  if (status != SNN_OK) return status;
  if (a->write_inputs) {
    const snn_shape s = snn_network_input(v->model.net);
    *subject = a->write_inputs;
    status = snn_array_write(a->write_inputs, v->images, 4, (const size_t[]){v->n, s.c, s.h, s.w}, err);
    if (status != SNN_OK) return status;
  }
  v->classes = snn_network_classes(v->model.net);
  v->onnx_scores = calloc(v->n, v->classes * sizeof *v->onnx_scores);
  v->model_scores = calloc(v->n, v->classes * sizeof *v->model_scores);
  if (!v->onnx_scores || !v->model_scores) return err->status = SNN_ERR_NO_MEMORY;
  *subject = a->onnx;
  status = snn_parity_check(a->onnx, v->model.net, v->images, v->n, a->tolerance, a->request.threads, v->onnx_scores,
                            v->model_scores, &v->parity, err);
  if (status != SNN_OK) return status;
  v->source = compare(v->model_scores, v->classes, v->onnx_scores, v->n, v->classes);
  *subject = a->scores;
  if (a->scores && (status = compare_given(v, a->scores, err)) != SNN_OK) return status;
  *subject = a->request.model;
  return a->timesteps ? run_spiking(v, a->timesteps, err) : SNN_OK;
}

int tool_verify(int argc, char **argv) {
  static const struct argp_child children[] = {{&tool_run_argp, 0, NULL, 0}, {0}};
  static const struct argp argp = {
      options,
      parse,
      "MODEL.onnx MODEL",
      "Check that a model file gives the scores of the network it was made from: of the ONNX file as snn reads it, and "
      "of any other runtime, whose scores --scores names. Exits with 1 where they differ by more than the tolerance; "
      "how near the spiking network comes is only reported.",
      children,
      NULL,
      NULL};
  arguments a = {.limit = 16, .timesteps = 1024, .tolerance = 1e-4};
  int code = tool_parse(&argp, argc, argv, &a);
  if (code != EXIT_OK) return code;

  verification v = {0};
  snn_error err = {0};
  const char *subject;
  /* what is verified is the conversion, not the rounding */
  if (!a.request.precision) a.request.precision = snn_precision_name(SNN_PRECISION_FLOAT32);
  snn_status status = tool_open_model(&a.request, &v.model, &subject, &err);
  if (status == SNN_OK) status = verify(&v, &a, &subject, &err);
  if (status != SNN_OK) {
    code = tool_fail(subject, &err);
  } else {
    const bool ok = v.source.relative <= a.tolerance && (!a.scores || v.other.relative <= a.tolerance);
    if (a.json)
      code = tool_print_json(report_json(&v, &a, ok));
    else
      print_report(&v, &a);
    if (!ok) code = say_why(&v, &a);
  }
  snn_array_free(&v.given);
  free(v.images);
  free(v.onnx_scores);
  free(v.model_scores);
  free(v.spiking);
  tool_close_model(&v.model);
  return code;
}
