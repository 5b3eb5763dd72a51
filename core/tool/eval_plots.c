/* Plots of `snn eval`: a folder with the numbers as CSV, a gnuplot script that reads them, and the SVG files gnuplot
 * makes of it. The script names only files of its own folder and takes no text from the model unchecked, so it can be
 * kept, changed and run again. */
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <spawn.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tool/eval.h"

extern char **environ;

bool eval_can_plot(void) {
  const char *path = getenv("PATH");
  for (const char *p = path ? path : ""; *p;) {
    char file[4096];
    size_t n = strcspn(p, ":");
    int used = snprintf(file, sizeof file, "%.*s/gnuplot", (int)n, p);
    if (n > 0 && used > 0 && (size_t)used < sizeof file && access(file, X_OK) == 0) return true;
    p += n + (p[n] == ':');
  }
  fputs("snn: --plots draws with gnuplot, which is not installed (Debian: apt-get install gnuplot-nox)\n", stderr);
  return false;
}

/* Text that is safe inside a quoted string of gnuplot: letters, digits and a little more, at most n of them. */
static const char *safe(const char *s, size_t n, char buf[TOOL_MAX_TEXT]) {
  size_t used = 0;
  for (; *s && used < n && used + 1 < TOOL_MAX_TEXT; s++) {
    bool plain = (*s >= 'a' && *s <= 'z') || (*s >= 'A' && *s <= 'Z') || (*s >= '0' && *s <= '9') ||
                 strchr("._/:()+- ", *s) != NULL;
    buf[used++] = plain ? *s : '?';
  }
  buf[used] = 0;
  return buf;
}

/* Colour k of n, dark blue over green to yellow, so that a longer run is a lighter line: samples of matplotlib's
 * viridis (van der Walt & Smith, CC0). */
static void print_colour(FILE *f, size_t k, size_t n) {
  static const int samples[][3] = {{68, 1, 84}, {59, 82, 139}, {33, 145, 140}, {94, 201, 98}, {220, 205, 40}};
  double at = n > 1 ? (double)k * 4 / (double)(n - 1) : 1;
  size_t i = at < 4 ? (size_t)at : 3;
  int rgb[3];
  for (int c = 0; c < 3; c++)
    rgb[c] = (int)(samples[i][c] + (at - (double)i) * (samples[i + 1][c] - samples[i][c]) + 0.5);
  fprintf(f, "'#%02x%02x%02x'", rgb[0], rgb[1], rgb[2]);
}

/* Layers along the x axis: their names, thinned out where there are many. */
static void print_layer_axis(const evaluation *e, FILE *f, size_t n) {
  const size_t step = (n + 39) / 40;
  fputs("set xtics rotate by -45 left nomirror (", f);
  for (size_t i = 0; i < n; i += step) {
    char name[TOOL_MAX_TEXT];
    snn_probed p = snn_probe_read(e->probe, 0, i);
    fprintf(f, "%s'%s' %zu", i ? ", " : "",
            p.is_readout ? "scores" : safe(snn_network_layer(e->model.net, p.layer).name, 20, name), i + 1);
  }
  fprintf(f, ")\nset xrange [0.5:%zu.5]\nset xlabel 'layer'\n", n);
}

/* A chart over the layers. */
typedef struct chart {
  const char *file, *title, *unit, *range;
  int column;    /* of layers.csv */
  size_t member; /* of snn_probed, a double: where all of it is NAN there is nothing to draw */
} chart;

static bool has_values(const evaluation *e, const chart *c) {
  for (size_t k = 0; k < e->model.run.n_checkpoints; k++)
    for (size_t i = 0; i < snn_probe_entries(e->probe); i++) {
      snn_probed p = snn_probe_read(e->probe, k, i);
      double value;
      memcpy(&value, (const char *)&p + c->member, sizeof value);
      if (isfinite(value)) return true;
    }
  return false;
}

/* One chart, a line a T. */
static void print_layer_plot(const evaluation *e, FILE *f, const chart *c) {
  const size_t n = e->model.run.n_checkpoints;
  if (!has_values(e, c)) return;
  fprintf(f, "\nset output '%s'\nset title title_of('%s')\nset ylabel '%s'\nset yrange %s\nplot ", c->file, c->title,
          c->unit, c->range);
  for (size_t k = 0; k < n; k++) {
    fprintf(f, "%s'layers.csv' using ($1 == %u ? $2 : NaN):%d with linespoints pt 7 ps 0.6 lw 2 lc rgb ",
            k ? ", \\\n     " : "", e->rows[k].timesteps, c->column);
    print_colour(f, k, n);
    fprintf(f, " title 'T = %u'", e->rows[k].timesteps);
  }
  fputc('\n', f);
}

static void print_layer_plots(const evaluation *e, FILE *f) {
  static const chart with_scores[] = {
      {"layer-correlation.svg", "Correlation of rate * theta with the float activation", "Pearson correlation", "[*:1]",
       3, offsetof(snn_probed, correlation)},
      {"layer-error.svg", "Error of rate * theta against the float activation",
       "RMS error / RMS of the float activation", "[0:*]", 6, offsetof(snn_probed, rms_error)}};
  static const chart of_neurons[] = {
      {"layer-rates.svg", "Spike rates", "spikes a neuron and step", "[0:*]", 7, offsetof(snn_probed, rate)},
      {"first-spikes.svg", "First spikes of the neurons that fire", "mean step", "[0:*]", 8,
       offsetof(snn_probed, first_spike)},
      {"silent.svg", "Neurons that do not fire", "share", "[0:1]", 9, offsetof(snn_probed, silent)},
      {"quantisation-error.svg", "Quantisation error before the rectifier", "mean square, theta = 1", "[0:*]", 10,
       offsetof(snn_probed, quantisation)},
      {"quantisation-error-rectified.svg", "Quantisation error after the rectifier", "mean square, theta = 1", "[0:*]",
       11, offsetof(snn_probed, rectified)}};
  const size_t n = snn_probe_entries(e->probe);
  print_layer_axis(e, f, n);
  for (size_t i = 0; i < sizeof with_scores / sizeof *with_scores; i++) print_layer_plot(e, f, &with_scores[i]);
  if (n == 1) return; /* no neurons */
  fputc('\n', f);
  print_layer_axis(e, f, n - 1);
  for (size_t i = 0; i < sizeof of_neurons / sizeof *of_neurons; i++) print_layer_plot(e, f, &of_neurons[i]);
}

/* Accuracy and energy over T. */
static void print_timesteps_plots(const evaluation *e, FILE *f) {
  const size_t n = e->model.run.n_checkpoints;
  double lowest = 100;
  fputs("set key right bottom box opaque width 1\nset logscale x 2\nset xlabel 'timesteps T'\nset xtics nomirror (", f);
  for (size_t k = 0; k < n; k++) {
    eval_figures v = eval_figures_of(e, &e->rows[k]);
    lowest = fmin(lowest, fmin(e->labelled ? v.accuracy - v.interval : 100, v.agreement));
    fprintf(f, "%s%u", k ? ", " : "", e->rows[k].timesteps);
  }
  fprintf(f, ")\nset xrange [%g:%g]\nset yrange [*:%g]\nset ylabel 'pictures [%%]'\nset output 'accuracy.svg'\n",
          e->rows[0].timesteps / 1.25, e->rows[n - 1].timesteps * 1.25, 100 + fmax(0.05 * (100 - lowest), 0.1));
  if (e->labelled)
    fprintf(
        f,
        "set title title_of('Accuracy on %zu pictures')\n"
        "plot %.6f with lines lw 2 dt 2 lc rgb '#444444' title 'float network, accuracy (%.2f %%)', \\\n"
        "     'rows.csv' using 1:5 with linespoints pt 6 ps 0.7 lw 1.5 dt 3 lc rgb '#5ec962' title 'SNN, same class "
        "as the float network', \\\n"
        "     '' using 1:2:4 with yerrorbars pt 7 ps 0.01 lw 1.5 lc rgb '#3b528b' title '95 %% interval of the loss "
        "(paired)', \\\n"
        "     '' using 1:2 with linespoints pt 7 ps 0.8 lw 2 lc rgb '#3b528b' title 'SNN, accuracy'\n",
        e->n, eval_float_accuracy(e), eval_float_accuracy(e));
  else
    fprintf(
        f,
        "set title title_of('Agreement with the float network on %zu pictures')\n"
        "plot 'rows.csv' using 1:5 with linespoints pt 7 ps 0.8 lw 2 lc rgb '#3b528b' title 'SNN, same class as the "
        "float network'\n",
        e->n);
  fprintf(f,
          "\nset output 'energy.svg'\nset title title_of('Energy of one picture')\nset logscale y\nset yrange [*:*]\n"
          "set ylabel 'energy [uJ], as counted at 45 nm'\n"
          "plot %.6f with lines lw 2 dt 2 lc rgb '#444444' title 'float network', \\\n"
          "     'rows.csv' using 1:($9/1000) with linespoints pt 7 ps 0.8 lw 2 lc rgb '#3b528b' title 'SNN'\n"
          "unset logscale\n",
          snn_energy_nj(0, snn_network_macs(e->model.net)) / 1000);
}

static void print_script(const evaluation *e, FILE *f) {
  char name[TOOL_MAX_TEXT], text[TOOL_MAX_RUN];
  fprintf(f,
          "# Written by `snn eval --plots`; run again with `gnuplot plots.gp` in this folder.\n"
          "set terminal svg size 900,540 dynamic noenhanced font 'DejaVu Sans,Helvetica,sans-serif,14' background "
          "'#ffffff'\n"
          "set datafile separator ','\nset datafile missing NaN\nset border 3\nset grid lc rgb '#dddddd' lt 1\n"
          "set tics nomirror\n"
          "title_of(what) = what . \"\\n\" . '%s, %s'\n\n",
          safe(snn_network_name(e->model.net), 60, name), tool_run_text(&e->model.run, text));
  print_timesteps_plots(e, f);
  fputs("\nset key outside right top nobox noopaque width 0\n", f);
  print_layer_plots(e, f);
}

/* A file of the folder, written by `write`. */
static bool write_into(const evaluation *e, const char *folder, const char *name,
                       void (*write)(const evaluation *, FILE *)) {
  char *path;
  if (asprintf(&path, "%s/%s", folder, name) < 0) return false;
  FILE *f = fopen(path, "we");
  if (f) write(e, f);
  bool ok = f && !ferror(f);
  ok = (!f || fclose(f) == 0) && ok;
  if (!ok) fprintf(stderr, "snn: %s: cannot write: %s\n", path, strerror(errno));
  free(path);
  return ok;
}

static bool run_gnuplot(const char *folder) {
  char *argv[] = {(char[]){"gnuplot"}, (char[]){"--default-settings"}, (char[]){"plots.gp"}, NULL};
  posix_spawn_file_actions_t actions;
  pid_t pid;
  int status = 0;
  if (posix_spawn_file_actions_init(&actions) != 0) return false;
  int failed = posix_spawn_file_actions_addchdir_np(&actions, folder);
  for (int fd = 1; fd <= 2 && !failed; fd++) /* its warnings would be in our answer; run by hand it gives them */
    failed = posix_spawn_file_actions_addopen(&actions, fd, "/dev/null", O_WRONLY, 0);
  if (!failed) failed = posix_spawnp(&pid, argv[0], &actions, NULL, argv, environ);
  posix_spawn_file_actions_destroy(&actions);
  while (!failed && waitpid(pid, &status, 0) < 0) failed = errno == EINTR ? 0 : errno;
  return !failed && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

int eval_plot(const evaluation *e, const char *folder) {
  if (mkdir(folder, 0777) != 0 && errno != EEXIST) {
    fprintf(stderr, "snn: %s: cannot make the folder: %s\n", folder, strerror(errno));
    return EXIT_FAILED;
  }
  if (!write_into(e, folder, "rows.csv", eval_write_rows) || !write_into(e, folder, "layers.csv", eval_write_layers) ||
      !write_into(e, folder, "plots.gp", print_script))
    return EXIT_FAILED;
  fflush(stdout);
  if (run_gnuplot(folder)) return EXIT_OK;
  fprintf(stderr, "snn: %s: gnuplot failed; run `gnuplot plots.gp` there to see why\n", folder);
  return EXIT_FAILED;
}
