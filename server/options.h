/* The options of classify: one table, used for query strings, multipart parts and JSON members alike.
 *
 * A struct options starts from a model's defaults (options_init) and takes values one at a time (options_set); each
 * name, aliases included, is taken once. */
#ifndef SERVER_OPTIONS_H
#define SERVER_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "problem.h"
#include "run_memo.h"
#include "snn/calibrate.h"

enum { OPTION_NAME_MAX = 95 };

struct store;

/* What an option may ask for at most on this server. */
typedef struct option_limits {
  uint32_t max_timesteps;
  uint64_t max_operations; /* pictures x timesteps x multiply-accumulates of the network; 0: no limit */
  struct store *store;     /* where a request finds the calibration it names; NULL: nowhere */
} option_limits;

typedef struct options {
  snn_run_options run; /* cancel, deadline and checkpoints unset */
  uint32_t top_k;
  uint32_t timeout_ms;                   /* 0: none */
  char calibration[OPTION_NAME_MAX + 1]; /* "": the one in force; "none", or an id */
  bool trace_layers, trace_steps, reference, preview;
  uint32_t given; /* bit i: option i of the table was set */
} options;

/* When to stop early: see snn_run_options. */
typedef struct option_rule {
  double margin;
  long long patience;
} option_rule;

/* A value as its source typed it. Query strings know only text; JSON knows more. */
typedef struct option_value {
  enum {
    OPTION_TEXT,    /* untyped text: parsed as the option's own type */
    OPTION_STRING,  /* a JSON string */
    OPTION_INTEGER, /* a JSON integer */
    OPTION_REAL,    /* a JSON number with a fraction or an exponent */
    OPTION_BOOLEAN,
    OPTION_RULE, /* a JSON object of a number "margin" and an integer "patience" */
    OPTION_OTHER /* anything else; `text` says what in a word: "an array" */
  } kind;
  const char *text;
  long long integer; /* booleans: 0 or 1 */
  double real;       /* OPTION_REAL */
  option_rule rule;  /* OPTION_RULE */
} option_value;

/* `memo` here and below: the network's, or that of the run's calibration; may be NULL. */
void options_init(options *o, run_memo *memo, const snn_network *net, const option_limits *limits);

/* Set one option. False with `problem` set: unknown, given twice, wrong type or out of range. */
bool options_set(options *o, const option_limits *limits, const char *name, const option_value *value, problem *p);

/* Settle what depends on other options, and see whether all fit together. Called once all are set. False with `problem`
 * set. */
bool options_complete(options *o, run_memo *memo, const snn_network *net, problem *p);

/* Would that have nothing to work out that takes longer than a look? */
bool options_are_known(const options *o, run_memo *memo, const snn_network *net);

/* The init of a run that names none: that of the calibration's table made for just this neuron and T, where there is
 * one, else what the model recommends. */
snn_init options_default_init(const snn_network *net, const snn_run_options *run);

/* May these two run in one batch? True when every option that the simulation sees is equal; whoever has a budget or
 * wants every step's scores runs alone. */
bool options_run_equal(const options *a, const options *b);

/* Names of a choice for listings: "neuron", "init", "encoding", "readout", "precision"; option i of them, NULL past the
 * last. */
typedef const char *(*option_name_fn)(unsigned i);
typedef struct option_choice {
  const char *name;
  option_name_fn value_name;
} option_choice;
extern const option_choice option_choices[];
extern const size_t n_option_choices;

/* The name of what is traced. */
const char *option_trace_name(const options *o);

#endif
