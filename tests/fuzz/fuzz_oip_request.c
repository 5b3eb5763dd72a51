/* Fuzzing inference requests. The first bytes choose how long the JSON is and whether the body is compressed; whatever
 * follows, decoding gives finite inputs for 1 to IMAGES_MAX pictures or a problem with a text, and the ledger is
 * balanced afterwards. The network is a made-up one of 2 x 3 pixels. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../../server/oip.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* A model file of one flat layer, as small as they come. */
static const char header[] =
    "{\"__metadata__\":{\"spiked.format_version\":\"1\",\"spiked.name\":\"fuzz\",\"spiked.graph\":\"[{\\\"name\\\":"
    "\\\"image\\\","
    "\\\"op\\\":\\\"input\\\",\\\"inputs\\\":[],\\\"shape\\\":[1,2,3]},{\\\"name\\\":\\\"out\\\",\\\"op\\\":"
    "\\\"conv\\\","
    "\\\"inputs\\\":[0],\\\"kernel\\\":[2,3]}]\",\"spiked.preprocess\":\"{\\\"mean\\\":[0.5],\\\"std\\\":[0.25],"
    "\\\"background\\\":0}\"},\"out.weight\":{\"dtype\":\"F32\",\"shape\":[2,3,1,2],\"data_offsets\":[0,48]},"
    "\"out.bias\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[48,56]}}";

static model_entry *entry;

static void load(void) {
  static uint8_t file[2048];
  snn_error err = {0};
  uint64_t n_header = (sizeof header - 1 + 7) / 8 * 8;
  entry = registry_new_entry("fuzz");
  if (!entry) abort();
  memcpy(file, &n_header, sizeof n_header);
  memset(file + 8, ' ', n_header);
  memcpy(file + 8, header, sizeof header - 1);
  if (snn_network_load_memory(file, 8 + n_header + 56, &entry->network, &err) != SNN_OK) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
  if (!entry) load();
  if (n < 3) return 0;
  ledger l;
  ledger_init(&l, 1, (size_t)1 << 24);
  option_limits limits = {.max_timesteps = 1000};
  inference *inf = inference_create(registry_hold(entry), &limits, &l);
  oip_request *o = calloc(1, sizeof *o);
  if (!inf || !o) abort();
  size_t n_json = data[1] | (size_t)data[2] << 8;
  o->content = (compression)(data[0] % 3);
  o->n_json = n_json == 0xffff ? OIP_WHOLE_JSON : n_json;
  o->max_bytes = 1 << 16;
  inf->kind = BODY_OIP;
  inf->oip = o;
  options_init(&inf->options, &entry->memo, entry->network, &limits);
  if (!inference_append(inf, data + 3, n - 3)) abort();
  bool ok = oip_decode(inf);
  if (ok != (inf->problem.kind == PROBLEM_NONE) || (!ok && !inf->problem.detail[0])) abort();
  if (ok) {
    if (inf->n_images < 1 || inf->n_images > IMAGES_MAX || inf->options.run.timesteps > limits.max_timesteps) abort();
    for (size_t i = 0; i < inf->n_images * 6; i++)
      if (!isfinite(inf->inputs[i])) abort();
    for (size_t i = 0; i < o->n_outputs; i++)
      if (!oip_output_name(o->outputs[i].output)) abort();
  }
  inference_destroy(inf);
  if (l.bytes != 0) abort();
  ledger_destroy(&l);
  return 0;
}
