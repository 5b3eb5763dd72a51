/* The `snn` command: what its subcommands share. The only room of core/ that prints. */
#ifndef SNN_TOOL_TOOL_H
#define SNN_TOOL_TOOL_H

#include <argp.h>
#include <jansson.h>
#include <stdio.h>

#include "snn/snn.h"

enum { EXIT_OK = 0, EXIT_FAILED = 1, EXIT_USAGE = 2 };

/* A subcommand: argv[0] is "snn NAME". Returns the exit status. */
typedef struct tool_command {
  const char *name, *summary;
  int (*run)(int argc, char **argv);
} tool_command;

int tool_convert(int argc, char **argv);
int tool_inspect(int argc, char **argv);
int tool_eval(int argc, char **argv);
int tool_verify(int argc, char **argv);
int tool_classify(int argc, char **argv);
int tool_calibrate(int argc, char **argv);
int tool_bench(int argc, char **argv);

/* Print "snn: WHERE: TEXT" for a failed call and return EXIT_FAILED. */
int tool_fail(const char *subject, const snn_error *err);

/* Parse a subcommand's arguments with the house's settings; returns EXIT_OK or EXIT_USAGE (--help exits 0 by itself).
 */
int tool_parse(const struct argp *argp, int argc, char **argv, void *input);

/* A whole number in [min, max]; calls argp_error, naming the option, otherwise. */
uint32_t tool_number(struct argp_state *state, const char *option, const char *text, uint32_t min, uint32_t max);

/* "4,8,16": ascending distinct timesteps into out[TOOL_MAX_LIST]; returns how many. */
enum { TOOL_MAX_LIST = 64 };
size_t tool_timesteps(struct argp_state *state, const char *text, uint32_t out[TOOL_MAX_LIST]);

/* Keys of options that several subcommands have; a subcommand's own start at TOOL_KEY_OWN. */
enum {
  TOOL_KEY_DATA = 0x100,
  TOOL_KEY_LIMIT,
  TOOL_KEY_JSON,
  TOOL_KEY_CSV,
  TOOL_KEY_NEURON,
  TOOL_KEY_INIT,
  TOOL_KEY_TAU,
  TOOL_KEY_SHIFT,
  TOOL_KEY_PRECISION,
  TOOL_KEY_CALIBRATION,
  TOOL_KEY_ENCODING,
  TOOL_KEY_SEED,
  TOOL_KEY_READOUT,
  TOOL_KEY_THREADS,
  TOOL_KEY_OWN
};

/* What the shared options asked for; what stays unset holds the model's recommendation. Strings are those of argv. */
typedef struct tool_request {
  const char *model;              /* the one argument that is no option */
  const char *neuron, *init;      /* names, checked */
  const char *calibration;        /* a file */
  const char *encoding, *readout; /* names, checked */
  uint32_t seed;
  float tau; /* 0: unset */
  bool shift;
  const char *precision; /* NULL: what suits the run */
  uint32_t threads;      /* 0: what the machine allows */
} tool_request;

/* Argp parsers for the `children` of a subcommand's own one. Their input is a tool_request, which the subcommand gives
 * in ARGP_KEY_INIT: state->child_inputs[i] = &request. */
extern const struct argp tool_model_argp;  /* MODEL: exactly one argument, which must be there */
extern const struct argp tool_neuron_argp; /* --neuron --tau --threads */
extern const struct argp
    tool_run_argp; /* these, --init --calibration --shift --encoding --seed --readout --precision */

/* Handle one of their options with one's own help text; ARGP_ERR_UNKNOWN for others. */
error_t tool_run_option(int key, char *arg, struct argp_state *state, tool_request *request);

/* The run options of a request over a network's defaults; the calibration is borrowed and may be NULL. */
snn_run_options tool_run_options(const snn_network *net, const snn_calibration *calibration,
                                 const tool_request *request);

/* {"source": "model" or "calibration", "timesteps": T} of the table that a run starts from; NULL where there is none.
 */
json_t *tool_table_json(const snn_network *net, const snn_run_options *run);

/* "neuron=if, init=half" and what else is not as usual: tau, shift, encoding and its seed, readout, precision. Returns
 * buf. */
enum { TOOL_MAX_RUN = 192 };
const char *tool_run_text(const snn_run_options *run, char buf[TOOL_MAX_RUN]);

/* All of it as members of an object: neuron, init, shift, encoding, readout, precision, and where they count tau and
 * seed. Takes and returns the object. */
json_t *tool_set_run(json_t *object, const snn_run_options *run);

/* A model opened as a request asks, ready to run. */
typedef struct tool_model {
  snn_network *net;
  snn_calibration *calibration; /* NULL where the request names none */
  snn_session *session;
  snn_run_options run;
} tool_model;

/* Open; *subject becomes the file that an error is about. On failure too tool_close_model frees what there is. */
snn_status tool_open_model(const tool_request *request, tool_model *out, const char **subject, snn_error *err);
void tool_close_model(tool_model *m);

/* Neurons that fire in such a run: those of the last layer too where their spikes are the readout. */
uint64_t tool_neurons(const snn_network *net, const snn_run_options *run);

/* A progress line on stderr, only where that is a terminal. */
typedef struct tool_progress {
  uint64_t started_ns, shown_ns;
} tool_progress;

bool tool_show_progress(void *progress, const char *phase, size_t done, size_t total); /* an snn_progress_fn */

/* Pictures [first, first + n) of a data set as normalised inputs: images [n][C,H,W], caller-owned. Errors name the
 * picture. */
snn_status tool_read_inputs(const snn_dataset *d, const snn_network *net, size_t first, size_t n, float *images,
                            snn_error *err);

/* At most `limit` pictures (0: all) of a data set whose labels do not matter, evenly spaced, as normalised inputs:
 * *images [*n][C,H,W], the caller's to free. */
snn_status tool_load_pictures(const char *path, const snn_network *net, uint32_t limit, float **images, size_t *n,
                              snn_error *err);

/* s as one line for a terminal: control characters, which a hostile file may hold, become '?'. Returns buf. */
enum { TOOL_MAX_TEXT = 256 };
const char *tool_plain(const char *s, char buf[TOOL_MAX_TEXT]);

/* Labels of a network as an array of borrowed strings, NULL where it has none; the array is the caller's to free. */
const char **tool_labels(const snn_network *net);

/* Open a data set with a network's labels. */
snn_status tool_open_data(const char *path, const snn_network *net, snn_dataset **out, snn_error *err);

/* Print a JSON value, indented, with a final newline; takes the reference. Returns EXIT_OK, or EXIT_FAILED when stdout
 * refuses. */
int tool_print_json(json_t *value);

#endif
