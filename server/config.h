/* The daemon's settings: flags, environment, file, defaults; the first of these that names a setting wins.
 *
 * One table in config.c says name, kind, range and help of each setting; flag --max-body, environment
 * SPIKED_MAX_BODY and file member "max-body" all come from its name. */
#ifndef SERVER_CONFIG_H
#define SERVER_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum { CONFIG_TEXT_MAX = 4096 };

typedef struct listen_address {
  char host[256]; /* without brackets */
  uint16_t port;  /* 0: a free one */
} listen_address;

typedef struct config {
  char models[CONFIG_TEXT_MAX];           /* the model repository's folder */
  listen_address listen;                  /* of the public listener */
  listen_address admin_listen;            /* of the admin listener */
  char admin_token_file[CONFIG_TEXT_MAX]; /* "": there is no admin listener */
  listen_address metrics_listen;          /* of the listener for metrics alone; host "": there is none */
  char admin_host[CONFIG_TEXT_MAX];       /* more hosts the admin listener answers to, comma-separated */
  uint64_t threads;                       /* of the OpenMP team; 0: what the machine allows */
  uint64_t queue;                         /* requests that may wait */
  uint64_t queue_bytes;
  uint64_t max_body;
  uint64_t max_timesteps;
  uint64_t drain_delay;        /* seconds */
  char state[CONFIG_TEXT_MAX]; /* folder of calibrations and jobs; "": there are none */
  uint64_t max_upload;         /* bytes of one upload of pictures */
  uint64_t job_threads;        /* 0: half of what the machine allows */
  uint64_t job_nice;           /* 20: only time that nobody else wants */
  uint64_t job_bytes;          /* memory a job may take, as far as can be told beforehand */
  uint64_t keep_calibrations;  /* artifacts of a model */
  bool log_json;
  char cors_origin[CONFIG_TEXT_MAX];   /* origins whose pages may use the public listener, comma-separated; "*": all */
  char api_keys_file[CONFIG_TEXT_MAX]; /* "": the public listener asks for no key */
  char tls_cert[CONFIG_TEXT_MAX], tls_key[CONFIG_TEXT_MAX]; /* PEM files of the public listener; "": no TLS */
  uint64_t max_operations;                                  /* pictures x timesteps x operations of the network */
} config;

typedef enum config_action {
  CONFIG_RUN,
  CONFIG_CHECK,   /* --check-config: the settings are fine, print them */
  CONFIG_HEALTH,  /* --healthcheck: ask the daemon of these settings how it is */
  CONFIG_HELP,    /* --help */
  CONFIG_VERSION, /* --version */
  CONFIG_INVALID  /* `error` says why */
} config_action;

/* Read all sources. `out` is whole for CONFIG_RUN, CONFIG_CHECK and CONFIG_HEALTH (which
 * does not ask for --models) only. The environment is read with getenv. */
config_action config_load(int argc, char **argv, config *out, char *error, size_t n_error);

void config_print(const config *c, FILE *out);
void config_print_help(FILE *out);

/* Decimal digits only, at most `max`; false otherwise. */
bool config_parse_unsigned(const char *text, uint64_t max, uint64_t *out);

#endif
