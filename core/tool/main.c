/* `snn`: offline work with spiking networks. Finds the subcommand and lets it run. */
#include <stdlib.h>
#include <string.h>

#include "tool/tool.h"

static const tool_command commands[] = {
    {"convert", "turn a trained CNN (ONNX) into a spiking network", tool_convert},
    {"inspect", "show a model's layers, thresholds, labels and provenance", tool_inspect},
    {"eval", "accuracy, spikes and operations at every T, beside the float network", tool_eval},
    {"verify", "is a model still the network it was made from? Parity with its ONNX file", tool_verify},
    {"calibrate", "find initial potentials from pictures, for fewer timesteps", tool_calibrate},
    {"classify", "classify PNGs; the same answer as the daemon's", tool_classify},
    {"bench", "images per second and milliseconds per image", tool_bench},
};
enum { N_COMMANDS = sizeof commands / sizeof *commands };

static void usage(FILE *f) {
  fputs("Usage: snn COMMAND [OPTION...]\n\nCommands:\n", f);
  for (size_t i = 0; i < N_COMMANDS; i++) fprintf(f, "  %-10s %s\n", commands[i].name, commands[i].summary);
  fputs("\n`snn COMMAND --help` describes one; `snn --version` prints the version.\n", f);
}

/* The exit status, after the last byte of the answer is out: a full disk or a closed pipe is a failure too. */
static int finish(int code) {
  if (fflush(stdout) == 0 && !ferror(stdout)) return code;
  if (code == EXIT_OK) fputs("snn: cannot write the answer\n", stderr);
  return EXIT_FAILED;
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
    puts("snn " SPIKED_VERSION);
    return finish(EXIT_OK);
  }
  for (size_t i = 0; i < N_COMMANDS; i++)
    if (strcmp(argv[1], commands[i].name) == 0) {
      char name[32];
      snprintf(name, sizeof name, "snn %s", commands[i].name);
      argv[1] = name;
      return finish(commands[i].run(argc - 1, argv + 1));
    }
  fprintf(stderr, "snn: '%s' is not a command; `snn --help` lists them\n", argv[1]);
  return EXIT_USAGE;
}
