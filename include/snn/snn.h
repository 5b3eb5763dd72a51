/* libsnn: spiking neural networks converted from CNNs, simulated on CPUs. The umbrella header.
 *
 *   snn_network *net = NULL;  snn_session *s = NULL;  snn_error err = {0};
 *   if (snn_network_load("models/lenet-mnist/model.safetensors", &net, &err) == SNN_OK &&
 *       snn_session_create(net, NULL, &s, &err) == SNN_OK) {
 *     snn_run_options run = snn_run_defaults(net);
 *     run.timesteps = 16;
 *     float image[28 * 28] = {0}, scores[10];
 *     snn_session_run(s, image, 1, &run, scores, NULL, &err);
 *   }
 *   snn_session_free(s);  snn_network_free(net);
 */
#ifndef SNN_SNN_H
#define SNN_SNN_H

#include "snn/array.h"
#include "snn/calibrate.h"
#include "snn/convert.h"
#include "snn/dataset.h"
#include "snn/image.h"
#include "snn/network.h"
#include "snn/parity.h"
#include "snn/probe.h"
#include "snn/result.h"
#include "snn/session.h"
#include "snn/status.h"

#endif
