#!/bin/sh
# Pictures as base64 in JSON, for clients that speak nothing else: ./classify-json.sh PICTURE.png
set -eu
url=${URL:-http://127.0.0.1:8080}
base64 -w 0 "$1" | jq -R '{images: [.], timesteps: 16, neuron: "if"}' |
  curl -fsS --data-binary @- -H 'Content-Type: application/json' "$url/v1/models/${MODEL:-lenet-mnist}/classify" |
  jq -c '{timesteps, neuron, class: .results[0].class, latency_ms}'
