#!/bin/bash
# What a refusal looks like: the status, and a body that names the field. ./refused.sh PICTURE.png
set -euo pipefail
url=${URL:-http://127.0.0.1:8080}
curl -sS -w '\n%{http_code}\n' --data-binary "@$1" -H 'Content-Type: image/png' \
  "$url/v1/models/${MODEL:-lenet-mnist}/classify?timesteps=0" | { read -r body; read -r status; echo "$status: $(printf '%s' "$body" | jq -r .detail)"; }
