/* The option table. Keeps the invariant that a struct options only ever holds values that exist and are in range, and
 * that a refusal names the option, what was expected and what came. Does not know where a value came from. */
#include "options.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config.h"
#include "json_in.h"

typedef enum option_type { TYPE_UNSIGNED, TYPE_CHOICE, TYPE_BOOLEAN, TYPE_SHARE, TYPE_NAME, TYPE_RULE } option_type;

typedef struct option {
  const char *name, *alias;
  option_type type;
  uint32_t min, max;         /* TYPE_UNSIGNED */
  option_name_fn value_name; /* TYPE_CHOICE: name of value i, NULL past the last */
  void (*set)(options *o, uint32_t v);
  void (*set_share)(options *o, float v); /* TYPE_SHARE: above 0 and at most 1 */
} option;

enum { TOP_K_DEFAULT = 5, TOP_K_MAX = 100, TIMEOUT_MAX_MS = 3600 * 1000 };

static const char *neuron_name(unsigned i) {
  return snn_neuron_name((snn_neuron)i);
}
static const char *init_name(unsigned i) {
  return snn_init_name((snn_init)i);
}
static const char *encoding_name(unsigned i) {
  return snn_encoding_name((snn_encoding)i);
}
static const char *readout_name(unsigned i) {
  return snn_readout_name((snn_readout)i);
}
static const char *precision_name(unsigned i) {
  return snn_precision_name((snn_precision)i);
}
static const char *trace_name(unsigned i) {
  return i == 0 ? "none" : i == 1 ? "layers" : i == 2 ? "steps" : NULL;
}

const char *option_trace_name(const options *o) {
  return trace_name(o->trace_steps ? 2 : o->trace_layers);
}

static void set_timesteps(options *o, uint32_t v) {
  o->run.timesteps = v;
}
static void set_neuron(options *o, uint32_t v) {
  o->run.neuron = (snn_neuron)v;
}
static void set_init(options *o, uint32_t v) {
  o->run.init = (snn_init)v;
}
static void set_encoding(options *o, uint32_t v) {
  o->run.encoding = (snn_encoding)v;
}
static void set_readout(options *o, uint32_t v) {
  o->run.readout = (snn_readout)v;
}
static void set_precision(options *o, uint32_t v) {
  o->run.precision = (snn_precision)v;
}
static void set_shift(options *o, uint32_t v) {
  o->run.shift = v;
}
static void set_tau(options *o, float v) {
  o->run.tau = v;
}
static void set_top_k(options *o, uint32_t v) {
  o->top_k = v;
}
static void set_trace(options *o, uint32_t v) {
  o->trace_layers = v >= 1;
  o->trace_steps = v == 2;
}
static void set_seed(options *o, uint32_t v) {
  o->run.seed = v;
}
static void set_budget(options *o, uint32_t v) {
  o->run.budget_ns = v * (uint64_t)1000000;
}
static void set_reference(options *o, uint32_t v) {
  o->reference = v == 1;
}
static void set_timeout(options *o, uint32_t v) {
  o->timeout_ms = v;
}
static void set_preview(options *o, uint32_t v) {
  o->preview = v == 1;
}

/* The server's own limit narrows the range of timesteps further. */
static const option table[] = {
    {"timesteps", "T", TYPE_UNSIGNED, 1, SNN_MAX_TIMESTEPS, NULL, set_timesteps, NULL},
    {"neuron", NULL, TYPE_CHOICE, 0, 0, neuron_name, set_neuron, NULL},
    {"tau", NULL, TYPE_SHARE, 0, 0, NULL, NULL, set_tau},
    {"init", NULL, TYPE_CHOICE, 0, 0, init_name, set_init, NULL},
    {"encoding", NULL, TYPE_CHOICE, 0, 0, encoding_name, set_encoding, NULL},
    {"seed", NULL, TYPE_UNSIGNED, 0, UINT32_MAX, NULL, set_seed, NULL},
    {"readout", NULL, TYPE_CHOICE, 0, 0, readout_name, set_readout, NULL},
    {"precision", NULL, TYPE_CHOICE, 0, 0, precision_name, set_precision, NULL},
    {"calibration", NULL, TYPE_NAME, 0, 0, NULL, NULL, NULL},
    {"shift", NULL, TYPE_UNSIGNED, 0, 1, NULL, set_shift, NULL},
    {"top_k", NULL, TYPE_UNSIGNED, 1, TOP_K_MAX, NULL, set_top_k, NULL},
    {"trace", NULL, TYPE_CHOICE, 0, 0, trace_name, set_trace, NULL},
    {"stop", NULL, TYPE_RULE, 0, 0, NULL, NULL, NULL},
    {"budget_ms", NULL, TYPE_UNSIGNED, 1, TIMEOUT_MAX_MS, NULL, set_budget, NULL},
    {"reference", NULL, TYPE_BOOLEAN, 0, 0, NULL, set_reference, NULL},
    {"preview", NULL, TYPE_BOOLEAN, 0, 0, NULL, set_preview, NULL},
    {"timeout_ms", NULL, TYPE_UNSIGNED, 1, TIMEOUT_MAX_MS, NULL, set_timeout, NULL},
};

enum { N_OPTIONS = sizeof table / sizeof *table };

const option_choice option_choices[] = {{"neuron", neuron_name},
                                        {"init", init_name},
                                        {"encoding", encoding_name},
                                        {"readout", readout_name},
                                        {"precision", precision_name}};
const size_t n_option_choices = sizeof option_choices / sizeof *option_choices;

void options_init(options *o, run_memo *memo, const snn_network *net, const option_limits *limits) {
  *o = (options){.run = run_memo_defaults(memo, net), .top_k = TOP_K_DEFAULT};
  if (o->run.timesteps > limits->max_timesteps) o->run.timesteps = limits->max_timesteps;
}

/* Comma-separated names into text, cut where it ends. */
static void append_name(char *text, size_t n_text, const char *name) {
  size_t n = strlen(text);
  snprintf(text + n, n_text - n, "%s%s", n ? ", " : "", name);
}

/* What came, as the user would recognise it. */
static void describe(const option_value *value, char *text, size_t n_text) {
  switch (value->kind) {
    case OPTION_TEXT:
    case OPTION_STRING: snprintf(text, n_text, *value->text ? "'%.48s'" : "an empty text", value->text); break;
    case OPTION_INTEGER: snprintf(text, n_text, "%lld", value->integer); break;
    case OPTION_REAL: snprintf(text, n_text, "a number with a fraction, %.9g", value->real); break;
    case OPTION_BOOLEAN: snprintf(text, n_text, value->integer ? "true" : "false"); break;
    case OPTION_RULE:
      snprintf(text, n_text, "a margin of %.9g and a patience of %lld", value->rule.margin, value->rule.patience);
      break;
    case OPTION_OTHER: snprintf(text, n_text, "%s", value->text); break;
  }
}

static bool take_unsigned(uint32_t min, uint32_t max, const option_value *value, uint32_t *out) {
  uint64_t v = 0;
  if (value->kind == OPTION_TEXT) {
    if (!config_parse_unsigned(value->text, max, &v)) return false;
  } else {
    if (value->kind != OPTION_INTEGER || value->integer < 0) return false;
    v = (uint64_t)value->integer;
  }
  if (v < min || v > max) return false;
  *out = (uint32_t)v;
  return true;
}

static bool take_choice(option_name_fn name, const option_value *value, uint32_t *out) {
  if (value->kind != OPTION_TEXT && value->kind != OPTION_STRING) return false;
  for (unsigned i = 0; name(i); i++)
    if (strcmp(name(i), value->text) == 0) {
      *out = i;
      return true;
    }
  return false;
}

static bool take_boolean(const option_value *value, uint32_t *out) {
  if (value->kind == OPTION_BOOLEAN) {
    *out = value->integer != 0;
    return true;
  }
  if (value->kind != OPTION_TEXT) return false;
  bool yes = strcmp(value->text, "true") == 0 || strcmp(value->text, "1") == 0;
  bool no = strcmp(value->text, "false") == 0 || strcmp(value->text, "0") == 0;
  *out = yes;
  return yes || no;
}

static bool take_share(const option_value *value, float *out) {
  double v = 0;
  char *end = NULL;
  if (value->kind == OPTION_TEXT) {
    v = strtod(value->text, &end);
    if (end == value->text || *end || strspn(value->text, "0123456789.eE+-") != strlen(value->text)) return false;
  } else if (value->kind == OPTION_REAL) {
    v = value->real;
  } else if (value->kind == OPTION_INTEGER) {
    v = (double)value->integer;
  } else {
    return false;
  }
  *out = (float)v;
  return *out > 0 && *out <= 1;
}

/* A text as it stands, into o->calibration: what it means is settled later. */
static bool take_name(options *o, const option_value *value) {
  if ((value->kind != OPTION_TEXT && value->kind != OPTION_STRING) || !*value->text) return false;
  if (strlen(value->text) > OPTION_NAME_MAX) return false;
  strcpy(o->calibration, value->text);
  return true;
}

/* "0.9,3", or as JSON {"margin": 0.9, "patience": 3}. */
static bool parse_rule(const char *text, option_rule *out) {
  char *end = NULL;
  if (json_in_rule(text, out)) return true;
  if (strspn(text, "0123456789.,") != strlen(text) || text[0] < '0' || text[0] > '9') return false;
  out->margin = strtod(text, &end);
  uint64_t patience = 0;
  if (*end != ',' || !config_parse_unsigned(end + 1, SNN_MAX_TIMESTEPS, &patience)) return false;
  out->patience = (long long)patience;
  return true;
}

static bool take_rule(const option_value *value, options *o) {
  option_rule rule = value->rule;
  const bool text = value->kind == OPTION_TEXT || value->kind == OPTION_STRING;
  if (text ? !parse_rule(value->text, &rule) : value->kind != OPTION_RULE) return false;
  if (!(rule.margin >= 0 && rule.margin <= 1) || rule.patience < 1 || rule.patience > SNN_MAX_TIMESTEPS) return false;
  o->run.stop_margin = (float)rule.margin;
  o->run.stop_patience = (uint32_t)rule.patience;
  return true;
}

static bool refuse(const option *opt, uint32_t max, const option_value *value, problem *p) {
  char got[80], names[256] = "";
  describe(value, got, sizeof got);
  switch (opt->type) {
    case TYPE_UNSIGNED:
      if (opt->min == max)
        return problem_set(p, PROBLEM_INVALID_OPTION, "%s: expected %u, the only value there is so far, got %s",
                           opt->name, max, got);
      return problem_set(p, PROBLEM_INVALID_OPTION, "%s: expected an integer from %u to %u, got %s", opt->name,
                         opt->min, max, got);
    case TYPE_CHOICE:
      for (unsigned i = 0; opt->value_name(i); i++) append_name(names, sizeof names, opt->value_name(i));
      return problem_set(p, PROBLEM_INVALID_OPTION, "%s: expected one of: %s; got %s", opt->name, names, got);
    case TYPE_BOOLEAN:
      return problem_set(p, PROBLEM_INVALID_OPTION, "%s: expected true or false, got %s", opt->name, got);
    case TYPE_NAME:
      return problem_set(p, PROBLEM_INVALID_OPTION, "%s: expected 'none' or an id, got %s", opt->name, got);
    case TYPE_SHARE:
      return problem_set(p, PROBLEM_INVALID_OPTION, "%s: expected a number above 0 and at most 1, got %s", opt->name,
                         got);
    case TYPE_RULE:
      return problem_set(p, PROBLEM_INVALID_OPTION,
                         "%s: expected a margin from 0 to 1 and a patience from 1 to %d steps, such as "
                         "{\"margin\": 0.9, \"patience\": 3} or in a query 0.9,3; got %s",
                         opt->name, SNN_MAX_TIMESTEPS, got);
  }
  return false;
}

static int find_option(const char *name) {
  for (int i = 0; i < N_OPTIONS; i++)
    if (strcmp(table[i].name, name) == 0 || (table[i].alias && strcmp(table[i].alias, name) == 0)) return i;
  return -1;
}

bool options_set(options *o, const option_limits *limits, const char *name, const option_value *value, problem *p) {
  int i = find_option(name);
  if (i < 0) {
    char names[320] = "";
    for (int k = 0; k < N_OPTIONS; k++) append_name(names, sizeof names, table[k].name);
    return problem_set(p, PROBLEM_INVALID_OPTION, "%.64s: unknown option; there are: %s", *name ? name : "(empty name)",
                       names);
  }
  const option *opt = &table[i];
  if (o->given >> i & 1)
    return problem_set(p, PROBLEM_INVALID_OPTION, "%s: given twice (query, options part and aliases together count)",
                       opt->name);
  if (opt->type == TYPE_NAME) {
    if (!take_name(o, value)) return refuse(opt, 0, value, p);
    o->given |= 1u << i;
    return true;
  }
  if (opt->type == TYPE_SHARE) {
    float share = 0;
    if (!take_share(value, &share)) return refuse(opt, 0, value, p);
    opt->set_share(o, share);
    o->given |= 1u << i;
    return true;
  }
  if (opt->type == TYPE_RULE) {
    if (!take_rule(value, o)) return refuse(opt, 0, value, p);
    o->given |= 1u << i;
    return true;
  }
  uint32_t v = 0, max = opt->set == set_timesteps ? limits->max_timesteps : opt->max;
  bool ok = opt->type == TYPE_UNSIGNED ? take_unsigned(opt->min, max, value, &v)
            : opt->type == TYPE_CHOICE ? take_choice(opt->value_name, value, &v)
                                       : take_boolean(value, &v);
  if (!ok) return refuse(opt, max, value, p);
  opt->set(o, v);
  o->given |= 1u << i;
  return true;
}

bool options_run_equal(const options *a, const options *b) {
  const snn_run_options *x = &a->run, *y = &b->run;
  return x->timesteps == y->timesteps && x->neuron == y->neuron && x->init == y->init && x->encoding == y->encoding &&
         x->seed == y->seed && x->readout == y->readout && x->precision == y->precision && x->shift == y->shift &&
         x->tau == y->tau && x->calibration == y->calibration && x->stop_margin == y->stop_margin &&
         x->stop_patience == y->stop_patience && !x->budget_ns && !y->budget_ns && !a->trace_steps && !b->trace_steps;
}

/* "if matched T 4, 8; if-signed matched T 8" of the tables that a run may start from, as far as it fits. */
static void list_tables(const snn_calibration *c, char *text, size_t n_text) {
  snn_calibration_table last = {.init = SNN_INIT_ZERO};
  for (size_t i = 0; c && i < snn_calibration_tables(c); i++) {
    snn_calibration_table key = snn_calibration_table_at(c, i);
    size_t n = strlen(text);
    if (key.neuron == last.neuron && key.init == last.init)
      snprintf(text + n, n_text - n, ", %u", key.timesteps);
    else
      snprintf(text + n, n_text - n, "%s%s %s T %u", n ? "; " : "", snn_neuron_name(key.neuron),
               snn_init_name(key.init), key.timesteps);
    last = key;
  }
}

snn_init options_default_init(const snn_network *net, const snn_run_options *run) {
  for (size_t i = 0; run->calibration && i < snn_calibration_tables(run->calibration); i++) {
    snn_calibration_table key = snn_calibration_table_at(run->calibration, i);
    if (key.neuron == run->neuron && key.timesteps == run->timesteps) return key.init;
  }
  return snn_recommended_init(net, run);
}

bool options_are_known(const options *o, run_memo *memo, const snn_network *net) {
  snn_run_options run = o->run;
  if (o->given >> find_option("precision") & 1) return true;
  if (!(o->given >> find_option("init") & 1)) run.init = options_default_init(net, &run);
  return run_memo_knows(memo, &run);
}

bool options_complete(options *o, run_memo *memo, const snn_network *net, problem *p) {
  snn_table_choice choice;
  char names[256] = "", tables[224] = "";
  if (!(o->given >> find_option("init") & 1)) o->run.init = options_default_init(net, &o->run);
  if (!(o->given >> find_option("precision") & 1)) o->run.precision = run_memo_precision(memo, net, &o->run);
  if (!snn_init_needs_table(o->run.init) || snn_run_table(net, &o->run, &choice)) return true;
  for (unsigned i = 0; init_name(i); i++)
    if (!snn_init_needs_table((snn_init)i)) append_name(names, sizeof names, init_name(i));
  list_tables(o->run.calibration, tables, sizeof tables);
  list_tables(snn_network_calibration(net), tables, sizeof tables);
  return problem_set(
      p, PROBLEM_INVALID_OPTION,
      "init: '%s' needs a table for neuron '%s', which neither the model nor a calibration in force has; "
      "there are: %s; without a table: %s",
      snn_init_name(o->run.init), snn_neuron_name(o->run.neuron), *tables ? tables : "none", names);
}
