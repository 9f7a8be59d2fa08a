# What the trials share; they set $page, and $work for what is lost with them, and have complain().
block() { awk -v n="$1" '/^```/ { within = !within; i += within; next } within && i == n' "$page"; }
good() { echo "good: $1"; }
fail() {
  echo "FAILED: $1"
  complain
  exit 1
}
follow() { # block of the page, words
  block "$1" > "$work/step"
  sh -eu "$work/step" > "$work/told" 2>&1 || { cat "$work/told"; fail "$2"; }
  good "$2"
}
soon() { # words, command: within a minute
  words=$1 tries=0; shift
  until "$@"; do
    tries=$((tries + 1))
    [ $tries -lt 240 ] || fail "$words"
    sleep 0.25
  done
  good "$words"
}
