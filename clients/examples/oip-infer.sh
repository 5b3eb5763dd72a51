#!/bin/bash
# Infer by the Open Inference Protocol: a PNG as BYTES, our options as parameters. ./oip-infer.sh PICTURE.png [MODEL]
set -euo pipefail
url=${URL:-http://127.0.0.1:8080}
base64 -w 0 "$1" | jq -R '{inputs: [{name: "image", datatype: "BYTES", shape: [1], data: [.]}],
    parameters: {timesteps: 8}, outputs: [{name: "scores", parameters: {classification: 3}}]}' |
  curl -sS --fail-with-body --data-binary @- "$url/v2/models/${2:-lenet-mnist}/infer" |
  jq -c '.error // {timesteps: .parameters.timesteps, scores: .outputs[0].data}'
