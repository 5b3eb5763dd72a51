#!/bin/bash
# Fetch a model's first sample picture to try things with: ./sample.sh MODEL FILE.png
set -euo pipefail
url=${URL:-http://127.0.0.1:8080}
name=$(curl -fsS "$url/v1/models/$1/samples" | jq -re '.samples[0]')
curl -fsS -o "$2" "$url/v1/models/$1/samples/$name"
echo "$2 is $name"
