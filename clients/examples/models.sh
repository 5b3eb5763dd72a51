#!/bin/bash
# What is served, and one model's choices: ./models.sh [MODEL]
set -euo pipefail
url=${URL:-http://127.0.0.1:8080}
if [ $# -eq 0 ]; then
  curl -fsS "$url/v1/models" | jq -r '.models[].name'
else
  curl -fsS "$url/v1/models/$1" | jq '{name, labels, input, variants, defaults}'
fi
