#!/bin/sh
# What the Containerfile runs: the pinned packages, then ours, into /opt/bridgetender (or $PREFIX), by $PYTHON.
# The same sources give the same bytes: bytecode carries hashes instead of times, and is written one file after
# the other, with the order of sets held still. pip leaves with its work done.
set -eu
prefix=${PREFIX:-/opt/bridgetender}
python=$prefix/bin/python
pip() { "$python" -m pip install -q --disable-pip-version-check --no-cache-dir --no-compile "$@"; }

case ${1:?packages or ours} in
packages)
  "${PYTHON:-python3}" -m venv "$prefix"
  pip --require-hashes -r requirements.lock
  ;;
ours)
  pip --no-deps --no-build-isolation .
  "$python" -m pip uninstall -q -y pip
  PYTHONHASHSEED=0 "$python" -m compileall -q -f --invalidation-mode unchecked-hash "$prefix/lib"
  ;;
esac
