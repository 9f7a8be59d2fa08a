#!/bin/sh
# What the Containerfile runs: the pinned packages, then ours, into /opt/bridgetender (or $PREFIX), by $PYTHON.
# Bytecode is written with hashes instead of times: the same sources give the same files.
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
  "$python" -m compileall -q -j 0 --invalidation-mode unchecked-hash "$prefix/lib"
  ;;
esac
