#!/bin/bash
# Every endpoint of both listeners with what it is for, from the server's own description: ./openapi.sh
set -euo pipefail
url=${URL:-http://127.0.0.1:8080}
curl -fsS "$url/openapi.json" |
  jq -r '.paths | to_entries[] | .key as $path | .value | to_entries[] | select(.value.summary) | "\(.key | ascii_upcase)\t\($path)\t\(.value.summary)"'
