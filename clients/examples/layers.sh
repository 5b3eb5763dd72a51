#!/bin/bash
# Where the spikes are, and what the float network says: ./layers.sh PICTURE.png
set -euo pipefail
url=${URL:-http://127.0.0.1:8080}
curl -sS --fail-with-body --data-binary "@$1" -H 'Content-Type: image/png' \
  "$url/v1/models/${MODEL:-lenet-mnist}/classify?timesteps=16&trace=layers&reference=true" |
  jq -r '.detail // (.results[0] | (.spikes.layers[] | "\(.name)\t\(.spikes) spikes\trate \(.rate)"),
         "spiking: \(.class.label), float: \(.reference.class.label)")'
