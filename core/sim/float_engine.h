/* The float32 engine: the stages of a plan, as the driver wants them. */
#ifndef SNN_SIM_FLOAT_ENGINE_H
#define SNN_SIM_FLOAT_ENGINE_H

#include "sim/drive.h"

/* Its context: one a member of the team. */
typedef struct snn_float_run {
  const snn_network *net;
  snn_stage_context stage;
  const snn_watch *watch; /* NULL: nobody looks */
  const snn_watched *watched;
} snn_float_run;

extern const snn_engine snn_engine_float;

#endif
