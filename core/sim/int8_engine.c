/* The int8 engine: its stages as the driver wants them. What is constant in time is computed by the float stages and
 * rounded where it is added. Holds no state of its own. */
#include "sim/int8.h"
#include "sim/reference.h"

static void begin_image(void *self, const snn_job *job) {
  const snn_int8_context *ctx = self;
  float *map = (float *)(void *)(ctx->constant.memory + ctx->sim->plan->edges[0].offset);
  snn_channels_last(ctx->constant.team, ctx->sim->net->nodes[0].shape, job->image, map);
  if (ctx->layout->kind == SNN_PLAN_WHOLE_RUN) snn_int8_whole_begin(ctx);
}

static void run_stage(void *self, uint32_t i, uint32_t first, uint32_t n) {
  snn_int8_context *ctx = self;
  const snn_stage *stages = ctx->sim->plan->stages;
  if (i < ctx->sim->plan->n_static) {
    snn_stage_run(&ctx->constant, &stages[i], 1);
    return;
  }
  ctx->first_step = first;
  snn_int8_stage_run(ctx, i, n);
  /* items are not positions here, so the stage before is counted, which a barrier has closed; the last never fires */
  if (ctx->constant.counters.first_spikes && i > ctx->sim->plan->n_static && stages[i - 1].sink == SNN_SINK_SPIKES)
    snn_int8_count_first(ctx, &stages[i - 1], n);
}

static void scores(const void *self, uint32_t k, uint32_t steps, float *out) {
  const snn_int8_context *ctx = self;
  const uint32_t last = ctx->sim->plan->n_stages - 1;
  const snn_stage *stage = &ctx->sim->plan->stages[last];
  const snn_int8_layer *layer = &ctx->sim->model->layers[last];
  const int64_t *sums =
      (const int64_t *)(const void *)(ctx->memory + ctx->layout->stages[last].state) + (size_t)(k + 1) * layer->lanes;
  for (uint32_t c = 0; c < stage->shape.c; c++) out[c] = (float)((double)sums[c] * (double)layer->unit[c] / steps);
}

const snn_engine snn_engine_int8 = {.begin = begin_image, .run_stage = run_stage, .scores = scores};
