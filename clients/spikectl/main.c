/* `spikectl`: finds the command and lets it run. */
#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>

#include "spikectl.h"

static const command commands[] = {
    {"classify", "FILE|-|DIR...", "classify pictures", run_classify},
    {"compare", "FILE", "one picture under several T, neurons or other options", run_compare},
    {"models", "[MODEL]", "the models served, or one of them in detail", run_models},
    {"status", "", "version, load and models of the daemon", run_status},
    {"calibrate", "DIR|FILE...", "upload pictures, get better initial potentials", run_calibrate},
    {"calibrations", "", "the calibrations kept for a model, and the one in force", run_calibrations},
    {"activate", "ID|own", "put a calibration in force, or return to the model's own", run_activate},
    {"rollback", "", "return to the calibration that was in force before", run_rollback},
    {"job", "ID", "state and result of a calibration job", run_job},
    {"load", "MODEL", "load a model, or load it again", run_load},
    {"unload", "MODEL", "stop serving a model", run_unload},
    {"bench", "FILE...", "open-loop load: latency at a fixed rate of requests", run_bench},
};
enum { N_COMMANDS = sizeof commands / sizeof *commands };

static void usage(FILE *f) {
  fputs("Usage: spikectl COMMAND [OPTION...]\n\nCommands:\n", f);
  for (size_t i = 0; i < N_COMMANDS; i++)
    fprintf(f, "  %-12s %-14s %s\n", commands[i].name, commands[i].arguments, commands[i].summary);
  fputs(
      "\nEnvironment: SPIKECTL_URL, SPIKECTL_MODEL, SPIKECTL_KEY_FILE, SPIKECTL_ADMIN_URL, "
      "SPIKECTL_TOKEN_FILE. Configuration: "
      "~/.config/spikectl.conf, lines `url = ...`.\n"
      "Exit status: 0 well, 1 a local failure, 2 usage, 4 the server refused, 5 the server failed, 6 no server.\n"
      "`spikectl COMMAND --help` describes one; `spikectl --version` prints the version.\n",
      f);
}

/* The exit status, after the last byte is out: a full disk or a closed pipe is a failure too. */
static int finish(int status) {
  if (fflush(stdout) == 0 && !ferror(stdout)) return status;
  if (status == EXIT_OK) fputs("spikectl: cannot write the answer\n", stderr);
  return status == EXIT_OK ? EXIT_LOCAL : status;
}

int main(int argc, char **argv) {
  if (argc < 2) {
    usage(stderr);
    return EXIT_USAGE;
  }
  if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
    usage(stdout);
    return finish(EXIT_OK);
  }
  if (strcmp(argv[1], "--version") == 0) {
    puts("spikectl " SPIKED_VERSION);
    return finish(EXIT_OK);
  }
  while (argc > 3 && strcmp(argv[1], "--url") == 0) { /* before the command is as good as behind it */
    setenv("SPIKECTL_URL", argv[2], 1);
    argc -= 2;
    argv += 2;
  }
  for (size_t i = 0; i < N_COMMANDS; i++)
    if (strcmp(argv[1], commands[i].name) == 0) {
      char name[48];
      snprintf(name, sizeof name, "spikectl %s", commands[i].name);
      argv[1] = name;
      curl_global_init(CURL_GLOBAL_DEFAULT);
      int status = finish(commands[i].run(argc - 1, argv + 1));
      curl_global_cleanup();
      return status;
    }
  fprintf(stderr, "spikectl: '%s' is not a command; `spikectl --help` lists them\n", argv[1]);
  return EXIT_USAGE;
}
