/* Settings from flags, environment, file and defaults. Keeps the invariant that a config handed out has every value in
 * its range, wherever it came from. Does not open the model folder or the listening address: those may appear later. */
#include "config.h"

#include <ctype.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "json_config.h"
#include "snn/session.h"

typedef enum setting_kind { SETTING_TEXT, SETTING_UNSIGNED, SETTING_ADDRESS, SETTING_LOG_FORMAT } setting_kind;

typedef struct setting {
  const char *name;
  setting_kind kind;
  size_t offset; /* in struct config, of text, unsigned and address settings */
  uint64_t min, max;
  const char *standard; /* the default as text; NULL: required; "": may be empty */
  const char *argument, *help;
} setting;

#define AT(member) offsetof(config, member)

static const setting settings[] = {
    {"models", SETTING_TEXT, AT(models), 0, 0, NULL, "DIR", "model repository: DIR/<name>/model.safetensors"},
    {"listen", SETTING_ADDRESS, AT(listen), 0, 0, "127.0.0.1:8080", "A:P",
     "address and port; IPv6 in brackets, port 0: a free one"},
    {"admin-listen", SETTING_ADDRESS, AT(admin_listen), 0, 0, "127.0.0.1:8081", "A:P",
     "the same of the admin listener"},
    {"admin-token-file", SETTING_TEXT, AT(admin_token_file), 0, 0, "", "FILE",
     "holds the admin listener's bearer token; without one there is no admin listener"},
    {"admin-host", SETTING_TEXT, AT(admin_host), 0, 0, "", "H[,H...]",
     "hosts the admin listener answers to besides its own address, each with or without a port"},
    {"metrics-listen", SETTING_ADDRESS, AT(metrics_listen), 0, 0, "", "A:P",
     "serve GET /metrics there, without a token"},
    {"state", SETTING_TEXT, AT(state), 0, 0, "", "DIR",
     "calibrations and jobs are kept here; replicas share it; without it there are none"},
    {"keep-calibrations", SETTING_UNSIGNED, AT(keep_calibrations), 1, 1000, "16", "N",
     "calibrations kept of a model, besides those that recent generations name"},
    {"max-upload", SETTING_UNSIGNED, AT(max_upload), 65536, UINT64_C(1) << 40, "268435456", "N",
     "bytes of one upload of calibration pictures"},
    {"job-threads", SETTING_UNSIGNED, AT(job_threads), 0, 1024, "0", "N",
     "threads of calibration jobs; 0: half of what the machine allows"},
    {"job-nice", SETTING_UNSIGNED, AT(job_nice), 0, 20, "20", "N",
     "how far jobs stand back; 20: they get what nobody else wants, and rest while a request is in work"},
    {"job-bytes", SETTING_UNSIGNED, AT(job_bytes), 1 << 20, UINT64_C(1) << 44, "1073741824", "N",
     "memory that one job may take"},
    {"threads", SETTING_UNSIGNED, AT(threads), 0, 1024, "0", "N",
     "threads of the simulation; 0: what the machine allows"},
    {"queue", SETTING_UNSIGNED, AT(queue), 1, 65536, "256", "N", "requests that may wait"},
    {"queue-bytes", SETTING_UNSIGNED, AT(queue_bytes), 65536, UINT64_C(1) << 40, "67108864", "N",
     "bytes that all requests together may hold"},
    {"max-body", SETTING_UNSIGNED, AT(max_body), 1024, UINT64_C(1) << 30, "8388608", "N", "bytes of one request body"},
    {"max-timesteps", SETTING_UNSIGNED, AT(max_timesteps), 1, SNN_MAX_TIMESTEPS, "4096", "N", "largest T of a request"},
    {"max-operations", SETTING_UNSIGNED, AT(max_operations), 1, UINT64_C(1) << 60, "2000000000000", "N",
     "operations of one request: pictures x timesteps x multiply-accumulates of the network"},
    {"cors-origin", SETTING_TEXT, AT(cors_origin), 0, 0, "", "O[,O...]",
     "origins whose web pages may use the public listener; '*': any"},
    {"api-keys-file", SETTING_TEXT, AT(api_keys_file), 0, 0, "", "FILE",
     "lines 'NAME KEY [REQUESTS-A-MINUTE]': the public listener then wants one of these keys"},
    {"tls-cert", SETTING_TEXT, AT(tls_cert), 0, 0, "", "FILE",
     "certificate chain (PEM) of the public listener; a proxy in front is the better place"},
    {"tls-key", SETTING_TEXT, AT(tls_key), 0, 0, "", "FILE", "its private key (PEM)"},
    {"drain-delay", SETTING_UNSIGNED, AT(drain_delay), 0, 3600, "0", "S",
     "seconds to serve on after SIGTERM, not ready, before closing"},
    {"log-format", SETTING_LOG_FORMAT, 0, 0, 0, "text", "text|json", "one line an event on stderr"},
};

enum {
  N_SETTINGS = sizeof settings / sizeof *settings,
  FLAG_CONFIG = N_SETTINGS,
  FLAG_CHECK,
  FLAG_HEALTH,
  FLAG_HELP,
  FLAG_VERSION,
  N_FLAGS,
  FLAG_BASE = 256 /* above every character, so that getopt never takes one for a short flag */
};

static const char *const plain_flags[] = {[FLAG_CONFIG] = "config",
                                          [FLAG_CHECK] = "check-config",
                                          [FLAG_HEALTH] = "healthcheck",
                                          [FLAG_HELP] = "help",
                                          [FLAG_VERSION] = "version"};

bool config_parse_unsigned(const char *text, uint64_t max, uint64_t *out) {
  uint64_t v = 0;
  if (!*text) return false;
  for (; *text; text++) {
    if (!isdigit((unsigned char)*text)) return false;
    uint64_t digit = (uint64_t)(*text - '0');
    if (v > (max - digit) / 10 || digit > max) return false;
    v = v * 10 + digit;
  }
  *out = v;
  return true;
}

/* "127.0.0.1:8080", "[::1]:8080", "localhost:0" */
static bool parse_address(const char *text, listen_address *out) {
  const char *colon = strrchr(text, ':'), *host = text;
  if (!colon) return false;
  size_t n_host = (size_t)(colon - text);
  bool bracketed = n_host >= 2 && host[0] == '[' && host[n_host - 1] == ']';
  if (bracketed) {
    host++;
    n_host -= 2;
  } else if (memchr(host, ':', n_host)) {
    return false; /* a bare IPv6 address: where its port begins would be a guess */
  }
  uint64_t port;
  if (n_host == 0 || n_host >= sizeof out->host || !config_parse_unsigned(colon + 1, 65535, &port)) return false;
  memcpy(out->host, host, n_host);
  out->host[n_host] = 0;
  out->port = (uint16_t)port;
  return true;
}

/* Put one value in its place; `source` is how the user named it ("--threads", "SPIKED_THREADS"). */
static bool apply(const setting *s, const char *text, const char *source, config *out, char *error, size_t n_error) {
  switch (s->kind) {
    case SETTING_TEXT:
      if ((*text || (s->standard && !*s->standard)) && strlen(text) < CONFIG_TEXT_MAX) {
        strcpy((char *)out + s->offset, text);
        return true;
      }
      snprintf(error, n_error, "%s: expected %d to %d characters", source, s->standard && !*s->standard ? 0 : 1,
               CONFIG_TEXT_MAX - 1);
      return false;
    case SETTING_UNSIGNED: {
      uint64_t v;
      if (config_parse_unsigned(text, s->max, &v) && v >= s->min) {
        memcpy((char *)out + s->offset, &v, sizeof v);
        return true;
      }
      snprintf(error, n_error, "%s: expected an integer from %llu to %llu, got '%.64s'", source,
               (unsigned long long)s->min, (unsigned long long)s->max, text);
      return false;
    }
    case SETTING_ADDRESS:
      if (!*text && !*s->standard) return true; /* host "": none */
      if (parse_address(text, (listen_address *)(void *)((char *)out + s->offset))) return true;
      snprintf(error, n_error, "%s: expected ADDRESS:PORT such as 127.0.0.1:8080 or [::1]:8080, got '%.64s'", source,
               text);
      return false;
    case SETTING_LOG_FORMAT:
      out->log_json = strcmp(text, "json") == 0;
      if (out->log_json || strcmp(text, "text") == 0) return true;
      snprintf(error, n_error, "%s: expected text or json, got '%.64s'", source, text);
      return false;
  }
  return false;
}

static void environment_name(const char *name, char *out, size_t n_out) {
  snprintf(out, n_out, "SPIKED_%s", name);
  for (char *c = out; *c; c++) *c = *c == '-' ? '_' : (char)toupper((unsigned char)*c);
}

/* Flags as written; values[i] borrows from argv. */
static bool read_flags(int argc, char **argv, const char *values[N_FLAGS], char *error, size_t n_error) {
  struct option flags[N_FLAGS + 1] = {0};
  for (int i = 0; i < N_FLAGS; i++) {
    bool bare = i >= FLAG_CHECK;
    flags[i] = (struct option){i < N_SETTINGS ? settings[i].name : plain_flags[i],
                               bare ? no_argument : required_argument, NULL, FLAG_BASE + i};
  }
  optind = 0; /* GNU: start afresh */
  opterr = 0;
  for (int c; (c = getopt_long(argc, argv, ":", flags, NULL)) != -1;) {
    if (c == ':') {
      snprintf(error, n_error, "%.64s: a value is missing", argv[optind - 1]);
      return false;
    }
    if (c < FLAG_BASE) {
      snprintf(error, n_error, "%.64s: not a flag of spiked, or one that takes no value; --help lists them",
               argv[optind - 1]);
      return false;
    }
    int i = c - FLAG_BASE;
    if (values[i]) {
      snprintf(error, n_error, "--%s: given twice", flags[i].name);
      return false;
    }
    values[i] = optarg ? optarg : "";
  }
  if (optind < argc) {
    snprintf(error, n_error, "%.64s: unexpected argument", argv[optind]);
    return false;
  }
  return true;
}

static const char *find_pair(const json_config *file, const char *name) {
  for (size_t i = 0; i < file->n; i++)
    if (strcmp(file->pairs[i].name, name) == 0) return file->pairs[i].text;
  return NULL;
}

static bool check_file_names(const json_config *file, char *error, size_t n_error) {
  for (size_t i = 0; i < file->n; i++) {
    bool known = false;
    for (size_t k = 0; k < N_SETTINGS && !known; k++) known = strcmp(settings[k].name, file->pairs[i].name) == 0;
    if (!known) {
      snprintf(error, n_error, "configuration file: unknown member '%.64s'", file->pairs[i].name);
      return false;
    }
  }
  return true;
}

config_action config_load(int argc, char **argv, config *out, char *error, size_t n_error) {
  const char *values[N_FLAGS] = {0};
  json_config file = {0};
  config_action action = CONFIG_INVALID;
  *out = (config){0};
  if (!read_flags(argc, argv, values, error, n_error)) goto cleanup;
  if (values[FLAG_HELP] || values[FLAG_VERSION]) {
    action = values[FLAG_HELP] ? CONFIG_HELP : CONFIG_VERSION;
    goto cleanup;
  }
  const char *path = values[FLAG_CONFIG] ? values[FLAG_CONFIG] : getenv("SPIKED_CONFIG");
  if (path && (!json_config_read(path, &file, error, n_error) || !check_file_names(&file, error, n_error)))
    goto cleanup;
  for (int i = 0; i < N_SETTINGS; i++) {
    const setting *s = &settings[i];
    char environment[64], source[96];
    environment_name(s->name, environment, sizeof environment);
    const char *text = values[i];
    snprintf(source, sizeof source, "--%s", s->name);
    if (!text && (text = getenv(environment))) snprintf(source, sizeof source, "%s", environment);
    if (!text && (text = find_pair(&file, s->name))) snprintf(source, sizeof source, "configuration file: %s", s->name);
    if (!text) text = s->standard;
    if (!text && values[FLAG_HEALTH]) continue;
    if (!text) {
      snprintf(error, n_error, "--%s %s is required", s->name, s->argument);
      goto cleanup;
    }
    if (!apply(s, text, source, out, error, n_error)) goto cleanup;
  }
  if (!*out->tls_cert != !*out->tls_key) {
    snprintf(error, n_error, "--tls-cert and --tls-key: either both or none");
    goto cleanup;
  }
  action = values[FLAG_HEALTH] ? CONFIG_HEALTH : values[FLAG_CHECK] ? CONFIG_CHECK : CONFIG_RUN;

cleanup:
  json_config_free(&file);
  return action;
}

void config_print(const config *c, FILE *out) {
  for (int i = 0; i < N_SETTINGS; i++) {
    const setting *s = &settings[i];
    uint64_t v;
    switch (s->kind) {
      case SETTING_TEXT: fprintf(out, "%s = %s\n", s->name, (const char *)c + s->offset); break;
      case SETTING_UNSIGNED:
        memcpy(&v, (const char *)c + s->offset, sizeof v);
        fprintf(out, "%s = %llu\n", s->name, (unsigned long long)v);
        break;
      case SETTING_ADDRESS: {
        const listen_address *a = (const listen_address *)(const void *)((const char *)c + s->offset);
        if (!*a->host)
          fprintf(out, "%s = \n", s->name);
        else
          fprintf(out, strchr(a->host, ':') ? "%s = [%s]:%u\n" : "%s = %s:%u\n", s->name, a->host, a->port);
        break;
      }
      case SETTING_LOG_FORMAT: fprintf(out, "%s = %s\n", s->name, c->log_json ? "json" : "text"); break;
    }
  }
}

void config_print_help(FILE *out) {
  fputs("Usage: spiked --models DIR [flags]\nServes spiking neural networks over HTTP.\n\n", out);
  for (int i = 0; i < N_SETTINGS; i++) {
    char flag[48];
    snprintf(flag, sizeof flag, "--%s %s", settings[i].name, settings[i].argument);
    fprintf(out, "  %-26s %s", flag, settings[i].help);
    if (settings[i].standard && *settings[i].standard) fprintf(out, " (default %s)", settings[i].standard);
    fputs("\n", out);
  }
  fputs(
      "  --config FILE              JSON object with the names above as members\n"
      "  --check-config             print the settings in force and exit\n"
      "  --healthcheck              ask the running daemon of these settings whether it is ready: exit code 0 or 1\n"
      "  --version, --help\n\n"
      "Every flag has an environment name: --max-body is SPIKED_MAX_BODY. Flag beats environment beats file.\n",
      out);
}
