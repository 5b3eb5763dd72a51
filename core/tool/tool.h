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

/* Simulation options shared by eval, classify and bench; their argp keys are the option characters and these. */
enum {
  TOOL_KEY_NEURON = 0x100,
  TOOL_KEY_INIT,
  TOOL_KEY_TAU,
  TOOL_KEY_SHIFT,
  TOOL_KEY_CALIBRATION,
  TOOL_KEY_THREADS,
  TOOL_KEY_LIMIT,
  TOOL_KEY_JSON,
  TOOL_KEY_CSV,
  TOOL_KEY_OWN
};

/* What was asked for; what stays unset holds the model's recommendation. */
typedef struct tool_run_request {
  const char *neuron, *init, *calibration; /* names; a file */
  float tau;
  bool shift;
  uint32_t threads;
} tool_run_request;

/* Handle one of the shared keys; ARGP_ERR_UNKNOWN for others. */
error_t tool_run_option(int key, char *arg, struct argp_state *state, tool_run_request *request);

/* The run options of a request over a network's defaults. */
snn_run_options tool_run_options(const snn_network *net, const tool_run_request *request);

/* Load the calibration a request names into run->calibration, which the caller frees; NULL where it names none. */
snn_status tool_load_calibration(const snn_network *net, const tool_run_request *request, snn_calibration **out,
                                 snn_error *err);

/* The argp table entries of the shared options. */
#define TOOL_RUN_OPTIONS                                                                                               \
  {"neuron", TOOL_KEY_NEURON, "NEURON", 0, "if (default), if-hard, lif, lif-soft, srif, srif-mpr, asg, if-signed", 0}, \
      {"init",                                                                                                         \
       TOOL_KEY_INIT,                                                                                                  \
       "INIT",                                                                                                         \
       0,                                                                                                              \
       "initial potential: zero, half, weights, or with --calibration data, compensated, matched",                     \
       0},                                                                                                             \
      {"calibration", TOOL_KEY_CALIBRATION, "FILE", 0, "tables of initial potentials, from `snn calibrate`", 0},       \
      {"shift", TOOL_KEY_SHIFT, "0|1", 0, "1: theta/2T more current a step in every hidden layer (Deng & Gu)", 0},     \
      {"tau", TOOL_KEY_TAU, "TAU", 0, "for neurons that leak: what remains of a potential after a step", 0}, {         \
    "threads", TOOL_KEY_THREADS, "N", 0, "OpenMP threads (default: what the machine allows)", 0                        \
  }

/* A progress line on stderr, only where that is a terminal. */
typedef struct tool_progress {
  uint64_t started_ns, shown_ns;
} tool_progress;

bool tool_show_progress(void *progress, const char *phase, size_t done, size_t total); /* an snn_progress_fn */

/* Load pictures of a data set as normalised inputs: images [n][C,H,W], caller-owned. Errors name the picture. */
snn_status tool_read_inputs(const snn_dataset *d, const snn_network *net, const size_t *pictures, size_t n,
                            uint8_t *pixels, float *images, snn_error *err);

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
