/* What `snn eval` has measured, and the ways of showing it. */
#ifndef SNN_TOOL_EVAL_H
#define SNN_TOOL_EVAL_H

#include "tool/tool.h"

/* Counted at one T. */
typedef struct eval_row {
  uint32_t timesteps;
  size_t correct, agree;
  size_t gained, lost; /* pictures right only in the SNN, only in the float network */
  uint64_t spikes, accumulates, macs;
} eval_row;

typedef struct evaluation {
  tool_model model; /* run.checkpoints are the T of the rows */
  snn_dataset *data;
  size_t n; /* pictures */
  bool labelled;
  size_t float_correct;
  eval_row *rows; /* [run.n_checkpoints] */
  double simulate_seconds, reference_seconds;
  snn_probe *probe; /* NULL: layers were not looked at */
  size_t probed;    /* pictures the probe saw */
} evaluation;

/* The figures of one row; percentages, and means per picture. */
typedef struct eval_figures {
  double accuracy, loss, interval, agreement, spikes, rate, accumulates, snn_nj;
} eval_figures;

eval_figures eval_figures_of(const evaluation *e, const eval_row *r);
double eval_float_accuracy(const evaluation *e); /* percent */

int eval_print_json(const evaluation *e); /* the exit status */
void eval_print_tables(const evaluation *e);
void eval_write_rows(const evaluation *e, FILE *f);   /* CSV */
void eval_write_layers(const evaluation *e, FILE *f); /* CSV; with a probe only */

/* CSV into a file; a probe's layers go into another one beside it, whose name has -layers before its ending. False,
 * with a message, when it cannot be written. */
bool eval_write_csv(const evaluation *e, const char *path);

/* Is there a gnuplot? False, with a message, when there is none. Asked before the long work. */
bool eval_can_plot(void);

/* Make the folder, write plots.gp and its data there and let gnuplot draw the SVG files. The exit status. */
int eval_plot(const evaluation *e, const char *folder);

#endif
