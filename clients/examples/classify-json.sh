#!/bin/bash
# Pictures as base64 in JSON, for clients that speak nothing else: ./classify-json.sh PICTURE.png
set -euo pipefail
url=${URL:-http://127.0.0.1:8080}
base64 -w 0 "$1" | jq -R '{images: [.], timesteps: 16, neuron: "if"}' |
  curl -sS --fail-with-body --data-binary @- -H 'Content-Type: application/json' "$url/v1/models/${MODEL:-lenet-mnist}/classify" |
  jq -c '.detail // {timesteps, neuron, class: .results[0].class, latency_ms}'
