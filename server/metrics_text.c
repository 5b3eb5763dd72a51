/* Prometheus text. Keeps the invariants that every metric has HELP and TYPE once, base units in its name, and labels
 * from bounded sets whose values need no escaping (routes, codes, problem types, model names). Counts nothing. */
#include "metrics_text.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "router.h"
#include "store.h"

static uint64_t read_counter(const counter *c) {
  return atomic_load_explicit(c, memory_order_relaxed);
}

static void head(FILE *out, const char *name, const char *type, const char *help) {
  fprintf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void gauge(FILE *out, const char *name, const char *help, double value) {
  head(out, name, "gauge", help);
  fprintf(out, "%s %.17g\n", name, value);
}

/* A counter that every model has. */
static void model_counter(FILE *out, const metrics *m, const char *name, const char *help, size_t offset) {
  head(out, name, "counter", help);
  for (size_t i = 0, n = m->n_models; i < n; i++) {
    const counter *c = (const counter *)((const char *)m->models[i] + offset);
    fprintf(out, "%s{model=\"%s\"} %llu\n", name, m->models[i]->name, (unsigned long long)read_counter(c));
  }
}

static void model_histogram(FILE *out, const metrics *m, const char *name, const char *help, size_t offset) {
  head(out, name, "histogram", help);
  for (size_t i = 0, n = m->n_models; i < n; i++) {
    const model_metrics *model = m->models[i];
    const histogram *h = (const histogram *)((const char *)model + offset);
    unsigned long long total = 0;
    double sum = (double)read_counter(&h->sum_ns) / 1e9;
    for (int k = 0; k < HISTOGRAM_BOUNDS; k++) {
      total += read_counter(&h->buckets[k]);
      fprintf(out, "%s_bucket{model=\"%s\",le=\"%g\"} %llu\n", name, model->name, histogram_bounds[k], total);
    }
    total += read_counter(&h->buckets[HISTOGRAM_BOUNDS]);
    fprintf(out, "%s_bucket{model=\"%s\",le=\"+Inf\"} %llu\n%s_sum{model=\"%s\"} %.9f\n%s_count{model=\"%s\"} %llu\n",
            name, model->name, total, name, model->name, sum, name, model->name, total);
  }
}

static void requests(FILE *out, const metrics *m) {
  static const char name[] = "spiked_http_requests_total";
  static const char *const listeners[FACE_COUNT] = {"public", "admin", "metrics"};
  head(out, name, "counter", "Requests by listener, route and status; 499: the client left before its answer.");
  for (int f = 0; f < FACE_COUNT; f++) {
    size_t n_routes;
    const route *routes = router_table((face)f, &n_routes);
    for (size_t i = 0; i <= n_routes; i++)
      for (size_t k = 0; k < METRICS_CODES; k++) {
        uint64_t n = read_counter(&m->requests[f][i * METRICS_CODES + k]);
        if (n == 0) continue;
        char code[16] = "other";
        if (metrics_code(k)) snprintf(code, sizeof code, "%u", metrics_code(k));
        fprintf(out, "%s{listener=\"%s\",method=\"%s\",route=\"%s\",code=\"%s\"} %llu\n", name, listeners[f],
                i < n_routes ? routes[i].method : "other", i < n_routes ? routes[i].pattern : "other", code,
                (unsigned long long)n);
      }
  }
}

static void rejections(FILE *out, const metrics *m) {
  static const char name[] = "spiked_rejected_requests_total";
  head(out, name, "counter", "Requests answered with a problem, by its type.");
  for (int i = PROBLEM_NONE + 1; i < PROBLEM_KIND_COUNT; i++)
    fprintf(out, "%s{reason=\"%s\"} %llu\n", name, problem_describe((problem_kind)i)->type,
            (unsigned long long)read_counter(&m->rejected[i]));
}

static void queue_and_state(FILE *out, server *s) {
  size_t depth, bytes;
  ledger_read(&s->ledger, &depth, &bytes);
  gauge(out, "spiked_queue_depth", "Requests waiting for the simulation.", (double)depth);
  gauge(out, "spiked_queue_limit", "Requests that may wait.", (double)s->ledger.max_count);
  gauge(out, "spiked_request_memory_bytes", "Bytes that requests hold: bodies, inputs, results.", (double)bytes);
  gauge(out, "spiked_request_memory_limit_bytes", "Bytes that requests may hold.", (double)s->ledger.max_bytes);
  gauge(out, "spiked_requests_in_flight", "Requests from their header to their last answer byte.",
        (double)atomic_load(&s->in_flight));
  gauge(out, "spiked_ready", "1: serving and ready; 0: starting or draining.", atomic_load(&s->state) == SERVER_READY);
}

static void models(FILE *out, server *s) {
  model_entry *entries[MODELS_MAX];
  size_t n = registry_all(&s->registry, entries);
  gauge(out, "spiked_models", "Models being served.", (double)n);
  head(out, "spiked_model_info", "gauge", "A model being served, by the SHA-256 of its file.");
  for (size_t i = 0; i < n; i++) {
    fprintf(out, "spiked_model_info{model=\"%s\",sha256=\"%s\"} 1\n", entries[i]->name,
            snn_network_sha256(entries[i]->network));
    registry_release(entries[i]);
  }
}

static void calibrations(FILE *out, server *s) {
  static const struct {
    const char *name, *type, *help;
  } kinds[] = {
      {"spiked_calibration_generation", "gauge", "Generation of the calibration in force; 0: the model's own."},
      {"spiked_calibration_lag_seconds", "gauge", "How long a newer calibration could not be put in force."},
      {"spiked_calibration_failures_total", "counter", "Calibrations that could not be put in force."},
  };
  model_entry *entries[MODELS_MAX];
  if (!s->store) return;
  size_t n = registry_all(&s->registry, entries);
  for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
    head(out, kinds[k].name, kinds[k].type, kinds[k].help);
    for (size_t i = 0; i < n; i++) {
      store_stats stats = {0};
      store_read_stats(s->store, entries[i]->name, &stats);
      double values[] = {(double)stats.generation, stats.lag_s, (double)stats.failures};
      fprintf(out, "%s{model=\"%s\"} %.17g\n", kinds[k].name, entries[i]->name, values[k]);
    }
  }
  for (size_t i = 0; i < n; i++) registry_release(entries[i]);
}

static void build_info(FILE *out, const server *s) {
  head(out, "spiked_build_info", "gauge", "Version of the daemon and the kernels it chose on this machine.");
  fprintf(out, "spiked_build_info{version=\"%s\",kernels=\"%s\"} 1\n", SPIKED_VERSION, snn_kernels_name());
  gauge(out, "spiked_threads", "Threads of the simulation.", scheduler_threads(s->scheduler));
}

/* Virtual and resident memory in pages; false without /proc. */
static bool memory_pages(unsigned long long *virtual_pages, unsigned long long *resident_pages) {
  FILE *statm = fopen("/proc/self/statm", "re");
  bool ok = statm && fscanf(statm, "%llu %llu", virtual_pages, resident_pages) == 2;
  if (statm) fclose(statm);
  return ok;
}

static size_t count_descriptors(void) {
  DIR *dir = opendir("/proc/self/fd");
  size_t n = 0;
  if (!dir) return 0;
  for (struct dirent *e; (e = readdir(dir)) != NULL;) n += e->d_name[0] != '.';
  closedir(dir);
  return n - 1; /* not the one of this reading */
}

static void process(FILE *out, const metrics *m) {
  struct rusage used;
  struct rlimit limit;
  unsigned long long virtual_pages = 0, resident_pages = 0;
  double page = (double)sysconf(_SC_PAGESIZE);
  getrusage(RUSAGE_SELF, &used);
  head(out, "process_cpu_seconds_total", "counter", "User and system CPU time spent.");
  fprintf(out, "process_cpu_seconds_total %.6f\n",
          (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
              (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6);
  gauge(out, "process_start_time_seconds", "Start time since the Unix epoch.", m->started);
  gauge(out, "process_open_fds", "Open file descriptors.", (double)count_descriptors());
  if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
    gauge(out, "process_max_fds", "Largest number of open file descriptors.", (double)limit.rlim_cur);
  if (memory_pages(&virtual_pages, &resident_pages)) {
    gauge(out, "process_virtual_memory_bytes", "Virtual memory size.", (double)virtual_pages * page);
    gauge(out, "process_resident_memory_bytes", "Resident memory size.", (double)resident_pages * page);
  }
}

char *metrics_text(server *s, size_t *n) {
  char *text = NULL;
  FILE *out = open_memstream(&text, n);
  if (!out) return NULL;
  const metrics *m = &s->metrics;
  build_info(out, s);
  requests(out, m);
  rejections(out, m);
  queue_and_state(out, s);
  models(out, s);
  calibrations(out, s);
  if (s->jobs) {
    head(out, "spiked_job_rest_seconds_total", "counter", "How long the threads of jobs stood back for requests.");
    fprintf(out, "spiked_job_rest_seconds_total %.6f\n", courtesy_rested_seconds(&s->courtesy));
  }
  model_counter(out, m, "spiked_images_total", "Pictures classified.", offsetof(model_metrics, images));
  model_counter(out, m, "spiked_timesteps_total", "Time steps simulated, summed over pictures.",
                offsetof(model_metrics, timesteps));
  model_counter(out, m, "spiked_spikes_total", "Spikes emitted.", offsetof(model_metrics, spikes));
  model_counter(out, m, "spiked_synaptic_operations_total", "Accumulates that spikes caused.",
                offsetof(model_metrics, synaptic_operations));
  model_counter(out, m, "spiked_batches_total", "Runs of the simulation, of one request or several.",
                offsetof(model_metrics, batches));
  model_counter(out, m, "spiked_inferences_total", "Requests answered with scores.",
                offsetof(model_metrics, success.count));
  model_counter(out, m, "spiked_inference_failures_total", "Requests to a model that got no scores.",
                offsetof(model_metrics, fail.count));
  model_histogram(out, m, "spiked_queue_seconds", "Waiting, for a decode worker and for the simulation.",
                  offsetof(model_metrics, queue_seconds));
  model_histogram(out, m, "spiked_simulate_seconds", "The run a request was part of.",
                  offsetof(model_metrics, simulate_seconds));
  model_histogram(out, m, "spiked_inference_seconds", "From the last byte of a request to its printed answer.",
                  offsetof(model_metrics, total_seconds));
  process(out, m);
  if (fclose(out) == 0) return text;
  free(text);
  return NULL;
}
