#!/bin/bash
# Several pictures in one request, options beside them: ./classify-many.sh PICTURE.png...
set -euo pipefail
url=${URL:-http://127.0.0.1:8080}
model=${MODEL:-lenet-mnist}
options='{"timesteps": 8, "neuron": "srif", "init": "zero", "top_k": 3}'
for picture; do
  set -- "$@" -F "image=@$picture;type=image/png"
  shift
done
curl -sS --fail-with-body "$@" -F "options=$options;type=application/json" "$url/v1/models/$model/classify" |
  jq -c '.detail // (.results[] | [.top[] | {(.label // (.index | tostring)): .probability}] | add)'
