/* `spikectl`: talking to a spiked daemon from a shell. What its commands share. */
#ifndef SPIKECTL_H
#define SPIKECTL_H

#include <argp.h>
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* Exit statuses that scripts can use. The largest that applied wins. */
enum {
  EXIT_OK = 0,
  EXIT_LOCAL = 1,      /* a file could not be read, output could not be written, a job failed */
  EXIT_USAGE = 2,      /* wrong command line */
  EXIT_REFUSED = 4,    /* the server refused: 4xx */
  EXIT_SERVER = 5,     /* the server could not: 5xx, or an answer that is none */
  EXIT_UNREACHABLE = 6 /* no server */
};

typedef struct command {
  const char *name, *arguments, *summary;
  int (*run)(int argc, char **argv);
} command;

int run_classify(int argc, char **argv);
int run_compare(int argc, char **argv);
int run_models(int argc, char **argv);
int run_status(int argc, char **argv);
int run_bench(int argc, char **argv);
int run_calibrate(int argc, char **argv);
int run_calibrations(int argc, char **argv);
int run_activate(int argc, char **argv);
int run_rollback(int argc, char **argv);
int run_job(int argc, char **argv);
int run_load(int argc, char **argv);
int run_unload(int argc, char **argv);

/* ---- settings.c: where the daemon is. Flags beat environment beats configuration file beats default. ---- */

typedef struct settings {
  const char *url;                    /* public listener, without a trailing slash */
  const char *model;                  /* NULL: the only one there is */
  const char *admin_url, *token_file; /* admin listener, and the file with its token; NULL: none named */
  const char *key_file;               /* holds the API key of the public listener; NULL: it asks for none */
  bool json, csv;
} settings;

/* Parser for the options of every command (--url --model --key-file --json --csv); its input is a settings. */
extern const struct argp settings_argp;

/* The same and --admin-url --token-file, for the commands that talk to the admin listener. */
extern const struct argp admin_settings_argp;

/* The admin token, malloc'ed; NULL when it cannot be read, said on stderr. */
char *read_token(const settings *s);

/* Fill in defaults; called by settings_argp before the first option. */
void settings_init(settings *s);

/* Parse a command line; false with a message: EXIT_USAGE. */
bool parse_arguments(const struct argp *argp, int argc, char **argv, void *input);

/* A number in [min, max]; argp_error naming the option otherwise. */
double number_argument(struct argp_state *state, const char *option, const char *text, double min, double max);

/* ---- options.c: the options of classify, passed on to the server, which checks them. ---- */

enum { MAX_OPTIONS = 32 };

typedef struct run_options {
  struct {
    const char *name, *value; /* strings of argv */
  } given[MAX_OPTIONS];
  size_t n;
} run_options;

/* Parser for --timesteps --neuron … and --option NAME=VALUE; its input is a run_options. */
extern const struct argp run_options_argp;

/* Set, replacing an earlier value. */
void run_options_set(run_options *o, const char *name, const char *value);

/* "URL/v1/models/MODEL/classify?timesteps=8…", percent-encoded; malloc'ed. */
char *classify_url(const settings *s, const char *model, const run_options *o);

/* ---- http.c: requests over libcurl ---- */

typedef struct reply {
  int exit_status; /* EXIT_OK when the server answered 2xx */
  long http_status;
  char *body;                 /* owned, NUL-terminated; NULL when none came */
  json_t *json;               /* owned; NULL when the body is none */
  char etag[64];              /* "" when none came */
  char problem[600];          /* what the server, or the network, said; "" when all is well */
  double seconds;             /* from the start of the transfer */
  bool with_token;            /* it was asked with the admin token */
  double uploaded, to_upload; /* bytes of the request's body, of a multipart upload */
} reply;

/* A part of a multipart upload: a file, or text. Strings are borrowed for the call. */
typedef struct upload_part {
  const char *name, *file_name, *path, *text;
} upload_part;

typedef struct http_call {
  const char *method; /* NULL: GET, or POST with a body */
  const char *url, *token, *if_match, *content_type;
  const void *body;
  size_t n_body;
  const upload_part *parts; /* instead of a body */
  size_t n_parts;
} http_call;

/* Make one call; uploads show their progress. Always fills `out`; reply_clear frees it. */
void http_send(const http_call *call, reply *out);

/* The API key that requests without a token carry from now on; NULL: none. Copied. */
void http_use_key(const char *key);

/* GET, or POST when `body` is given (borrowed for the call). Always fills `out`; reply_clear frees it. */
void http_request(const char *url, const char *content_type, const void *body, size_t n_body, reply *out);
void reply_clear(reply *r);

/* Many requests, a bounded number at a time, over kept-alive connections. */
typedef struct transfers transfers;
/* Called once for each request when it is done, from transfers_poll; `r` is borrowed for the call. */
typedef void (*transfer_done)(void *context, void *token, reply *r);
transfers *transfers_create(unsigned concurrency, transfer_done done, void *context);
void transfers_free(transfers *t);
bool transfers_full(const transfers *t);
size_t transfers_running(const transfers *t);
/* Start a POST; `body` is borrowed until it is done. */
bool transfers_post(transfers *t, const char *url, const char *content_type, const void *body, size_t n_body,
                    void *token);
/* Let them proceed, waiting at most that long. */
void transfers_poll(transfers *t, int timeout_ms);

/* The model to ask: settings.model, or the only one the server has (malloc'ed). NULL with *exit_status set, said on
 * stderr. */
char *find_model(const settings *s, int *exit_status);

/* ---- report.c: what people and scripts read ---- */

/* "spikectl: SUBJECT: what the server said" and what to do about it; returns r's exit status. */
int report_problem(const char *subject, const reply *r);

/* Text of a JSON member for a cell; "" when there is none. Borrowed, or a static buffer of its own a call deep. */
const char *text_of(const json_t *object, const char *name);
double number_of(const json_t *object, const char *name);

/* A table with a head; columns are as wide as their widest cell. Rows are kept until it is printed. */
typedef struct table table;
table *table_create(const char *const *head, size_t n_columns);
void table_add(table *t, const char *const *cells); /* copies; the first column is set left, others right */
void table_print(const table *t, FILE *f);
void table_print_csv(const table *t, FILE *f);
void table_free(table *t);

/* One CSV field (RFC 4180), quoted where needed. */
void csv_field(FILE *f, const char *text, bool last);

/* Print a value as indented JSON and a newline. */
void print_json(const json_t *value, bool indented);

/* A progress line on stderr, only where that is a terminal. */
void show_progress(const char *what, size_t done, size_t total, double seconds);
void clear_progress(void);

/* Monotonic seconds. */
double now(void);

/* ---- pictures.c: files, folders, standard input ---- */

typedef struct pictures {
  char **paths; /* in byte order within a folder; "-" is standard input */
  size_t n;
} pictures;

/* All that the arguments name: files as they are, whether they are there or not, and folders' .png files at any depth.
 * False, said on stderr, when a folder cannot be read or has none. `name_others`: files of folders that are left out
 * are named on stderr. */
bool pictures_find(char *const *arguments, size_t n, bool name_others, pictures *out);
void pictures_free(pictures *p);

/* All bytes, malloc'ed; NULL with errno set. At most 64 MiB. */
unsigned char *read_picture(const char *path, size_t *n);

#endif
