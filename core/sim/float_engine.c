/* The float32 engine. Holds no state of its own: that lies in the lane the context points to. */
#include "sim/float_engine.h"

#include "sim/encode.h"
#include "sim/first_spikes.h"
#include "sim/reference.h"

/* The image as the first edge: [h][w][c], for a whole-run plan the total over T; or the levels to encode. */
static void load_image(const snn_float_run *r, const float *image) {
  const snn_stage_context *ctx = &r->stage;
  const snn_shape shape = r->net->nodes[0].shape;
  if (ctx->plan->input == SNN_PLAN_ENCODED) {
    snn_encode_image(ctx, &ctx->plan->stages[0], &r->net->preprocess, image);
    return;
  }
  float *map = (float *)(void *)(ctx->memory + ctx->plan->edges[0].offset);
  size_t begin, end;
  snn_channels_last(ctx->team, shape, image, map);
  if (ctx->plan->kind != SNN_PLAN_WHOLE_RUN) return;
  snn_team_share(ctx->team, (size_t)shape.h * shape.w, &begin, &end); /* the positions snn_channels_last wrote */
  for (size_t i = begin * shape.c; i < end * shape.c; i++) map[i] *= (float)ctx->timesteps;
}

/* Are its first spikes asked for? */
static bool counts_first(const snn_float_run *r, const snn_stage *stage) {
  return r->stage.counters.first_spikes && stage->sink == SNN_SINK_SPIKES && stage->kind != SNN_LAYER_INPUT;
}

static void begin_image(void *self, const snn_job *job) {
  const snn_float_run *r = self;
  load_image(r, job->image);
  for (uint32_t i = 0; i < r->stage.plan->n_stages; i++) {
    const snn_stage *stage = &r->stage.plan->stages[i];
    snn_stage_reset(&r->stage, stage);
    if (counts_first(r, stage)) snn_first_spikes_reset(&r->stage, stage);
  }
}

static void run_stage(void *self, uint32_t i, uint32_t first, uint32_t n) {
  snn_float_run *r = self;
  const snn_stage *stage = &r->stage.plan->stages[i];
  r->stage.first_step = first;
  snn_stage_run(&r->stage, stage, n);
  if (counts_first(r, stage)) snn_first_spikes_count(&r->stage, stage, n);
  if (r->watch && stage->kind == SNN_LAYER_NEURON) r->watch->ran(r->watch->context, r->watched, &r->stage, stage, n);
}

static void scores(const void *self, uint32_t k, uint32_t steps, float *out) {
  const snn_float_run *r = self;
  const snn_plan *plan = r->stage.plan;
  snn_stage_scores(&r->stage, &plan->stages[plan->n_stages - 1], k, steps, out);
}

const snn_engine snn_engine_float = {.begin = begin_image, .run_stage = run_stage, .scores = scores};
