#!/bin/bash
# Classify one picture: ./classify.sh PICTURE.png [MODEL] [T]
set -euo pipefail
url=${URL:-http://127.0.0.1:8080}
curl -sS --fail-with-body --data-binary "@$1" -H 'Content-Type: image/png' \
  "$url/v1/models/${2:-lenet-mnist}/classify?timesteps=${3:-8}" |
  jq -r '.detail // (.results[0] | "\(.class.label // .class.index) \(.class.probability) with \(.spikes.total) spikes")'
