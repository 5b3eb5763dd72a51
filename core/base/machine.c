/* The machine: a monotonic clock, and how many CPUs this process may use. No state is kept between calls. */
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/machine.h"
#include "snn/session.h"

uint64_t snn_clock_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

size_t snn_core_cache(void) {
  long bytes = -1;
#ifdef _SC_LEVEL2_CACHE_SIZE
  bytes = sysconf(_SC_LEVEL2_CACHE_SIZE);
#endif
  return bytes > 0 ? (size_t)bytes : 1 << 20;
}

static bool read_line(const char *path, char *buf, int n) {
  FILE *f = fopen(path, "re");
  if (!f) return false;
  bool ok = fgets(buf, n, f) != NULL;
  fclose(f);
  return ok;
}

/* CPUs that one cgroup folder grants: quota / period rounded up, 0 when it sets no limit. */
static uint32_t cgroup_limit(const char *folder) {
  char path[512], line[128];
  long long quota = -1, period = 0;
  snprintf(path, sizeof path, "%s/cpu.max", folder); /* version 2: "max 100000" or "150000 100000" */
  if (read_line(path, line, sizeof line)) {
    if (sscanf(line, "%lld %lld", &quota, &period) != 2) return 0;
  } else { /* version 1 */
    snprintf(path, sizeof path, "%s/cpu.cfs_quota_us", folder);
    if (!read_line(path, line, sizeof line) || sscanf(line, "%lld", &quota) != 1) return 0;
    snprintf(path, sizeof path, "%s/cpu.cfs_period_us", folder);
    if (!read_line(path, line, sizeof line) || sscanf(line, "%lld", &period) != 1) return 0;
  }
  if (quota <= 0 || period <= 0) return 0;
  return (uint32_t)((quota + period - 1) / period);
}

uint32_t snn_cgroup_cpus(const char *root, const char *groups) {
  char first_version[256];
  snprintf(first_version, sizeof first_version, "%s/cpu", root);
  uint32_t best = cgroup_limit(root), direct = cgroup_limit(first_version);
  if (direct && (!best || direct < best)) best = direct;
  FILE *f = fopen(groups, "re");
  if (!f) return best;
  char line[512];
  while (fgets(line, sizeof line, f)) { /* "0::/a/b" (version 2) or "4:cpu,cpuacct:/a/b" */
    line[strcspn(line, "\n")] = 0;
    char *controllers = strchr(line, ':'), *group = controllers ? strchr(controllers + 1, ':') : NULL;
    if (!group) continue;
    *group++ = 0;
    controllers++;
    const char *top = !*controllers ? root : strstr(controllers, "cpu") ? first_version : NULL;
    while (top && *group) {
      char folder[700];
      snprintf(folder, sizeof folder, "%.256s%.400s", top, group);
      uint32_t n = cgroup_limit(folder);
      if (n && (!best || n < best)) best = n;
      char *slash = strrchr(group, '/');
      if (!slash) break;
      *slash = 0;
    }
  }
  fclose(f);
  return best;
}

uint32_t snn_thread_budget(void) {
  long online = sysconf(_SC_NPROCESSORS_ONLN);
  uint32_t n = online > 0 ? (uint32_t)online : 1;
  cpu_set_t mask;
  if (sched_getaffinity(0, sizeof mask, &mask) == 0) {
    uint32_t allowed = (uint32_t)CPU_COUNT(&mask);
    if (allowed && allowed < n) n = allowed;
  }
  uint32_t granted = snn_cgroup_cpus("/sys/fs/cgroup", "/proc/self/cgroup");
  return granted && granted < n ? granted : n;
}
