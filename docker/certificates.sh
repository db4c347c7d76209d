#!/bin/sh
# Makes what the parts of Restante know one another by, with openssl:
#
#   certificates.sh DIRECTORY [:GROUP] NAME[=HOST,HOST,...]...
#
# Below DIRECTORY an authority, a token for whoever reads the metrics, and for each
# NAME a folder with tls.crt, tls.key and ca.crt. With HOSTs it is a server's
# certificate for them, without a client's, whom the store knows by NAME (--callers).
# As root with a GROUP its members may read the keys, too; else only their owner.
#
# It may run again at any time: what is there, is for the same hosts and good for 30
# days more stays; the rest is made. Store and front ends read new files by themselves.
# `authority/ca.key` signs them all: only this script has to see it.
set -eu

days=398 renew_below=$((30 * 86400)) authority_days=3650

if [ $# -lt 1 ]; then
  sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' "$0" >&2
  exit 2
fi
directory=$1
shift
group=
case ${1:-} in
:*)
  group=${1#:}
  shift
  ;;
esac
umask 077
authority=$directory/authority
mkdir -p "$directory" "$authority"

# publish FILE MODE: FILE.new takes its place in one step.
publish() {
  chmod "$2" "$1.new"
  [ -z "$group" ] || chgrp "$group" "$1.new"
  mv "$1.new" "$1"
}

# A folder that its readers may enter.
folder() {
  mkdir -p "$1"
  chmod 750 "$1"
  [ -z "$group" ] || chgrp "$group" "$1"
}

good() { [ -s "$1" ] && openssl x509 -in "$1" -noout -checkend $renew_below >/dev/null; }

new_key() { openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1" 2>/dev/null; }

if [ ! -e "$authority/ca.crt" ]; then
  new_key "$authority/ca.key"
  openssl req -x509 -new -key "$authority/ca.key" -days $authority_days -subj "/CN=Restante authority" \
    -out "$authority/ca.crt.new"
  mv "$authority/ca.crt.new" "$authority/ca.crt"
  echo "made the authority"
fi
if ! good "$authority/ca.crt"; then
  echo "$authority: the authority ends soon; move $directory away, run this again and restart everything" >&2
  exit 1
fi

folder "$directory/metrics-token"
if [ ! -s "$directory/metrics-token/token" ]; then
  printf 'restante_%s\n' "$(openssl rand -hex 32)" >"$directory/metrics-token/token.new"
  publish "$directory/metrics-token/token" 440
  echo "made the metrics' token"
fi

for what in "$@"; do
  name=${what%%=*}
  into=$directory/$name
  folder "$into"
  {
    echo "basicConstraints = critical, CA:FALSE"
    echo "keyUsage = critical, digitalSignature"
    if [ "$name" = "$what" ]; then
      echo "extendedKeyUsage = clientAuth"
    else
      echo "extendedKeyUsage = serverAuth"
      echo "subjectAltName = DNS:$(echo "${what#*=}" | sed 's/,/, DNS:/g')"
    fi
  } >"$authority/$name.wanted"
  if good "$into/tls.crt" && [ -s "$into/tls.key" ] && cmp -s "$authority/$name.wanted" "$authority/$name.signed" &&
    openssl verify -CAfile "$authority/ca.crt" "$into/tls.crt" >/dev/null 2>&1; then
    rm "$authority/$name.wanted"
    continue
  fi
  new_key "$into/tls.key.new"
  openssl req -new -key "$into/tls.key.new" -subj "/CN=$name" -out "$authority/$name.request"
  openssl x509 -req -in "$authority/$name.request" -CA "$authority/ca.crt" -CAkey "$authority/ca.key" \
    -set_serial "0x$(openssl rand -hex 16)" -days $days -extfile "$authority/$name.wanted" \
    -out "$into/tls.crt.new" 2>/dev/null
  cp "$authority/ca.crt" "$into/ca.crt.new"
  publish "$into/ca.crt" 444
  publish "$into/tls.key" 440
  publish "$into/tls.crt" 444
  mv "$authority/$name.wanted" "$authority/$name.signed"
  rm "$authority/$name.request"
  echo "made a certificate for $what"
done
