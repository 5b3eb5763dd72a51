/* Are the options of a run in range, and do they go together? */
#ifndef SNN_SIM_RUN_CHECK_H
#define SNN_SIM_RUN_CHECK_H

#include "graph/graph.h"
#include "snn/session.h"

/* stats may be NULL. Errors: ARGUMENT, `where` names the option. */
snn_status snn_run_check(const snn_network *net, const snn_run_options *run, const snn_run_stats *stats,
                         snn_error *err);

#endif
