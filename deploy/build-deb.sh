#!/bin/sh
# Build the Debian package from the committed tree, in a copy of its own, and run lintian over it: deploy/build-deb.sh VERSION
set -eu
cd "$(dirname "$0")/.."
version=$1
out=build/deb
rm -rf "$out"
mkdir -p "$out/spiked-$version"
git ls-files -z | xargs -0 tar -c | tar -x -C "$out/spiked-$version"
cd "$out/spiked-$version"
cp -r deploy/debian debian
cat >debian/changelog <<END
spiked ($version) unstable; urgency=medium

  * See CHANGELOG.md.

 -- The spiked authors <authors@spiked.example.org>  $(LC_ALL=C date -R)
END
dpkg-buildpackage --build=binary --no-sign --unsigned-changes >../build.log 2>&1 || {
  tail -n 30 ../build.log >&2
  exit 1
}
cd ..
# An error of lintian's fails; warnings are shown.
lintian --allow-root --fail-on error --display-level '>=warning' ./*.changes
ls -l ./*.deb
