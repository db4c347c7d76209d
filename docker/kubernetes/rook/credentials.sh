#!/bin/sh
# Writes what a store has to know of the cluster that Rook runs into DIRECTORY, with kubectl:
# ceph.conf, which says where the monitors are, and the keyring of client.restante.
#
#   credentials.sh DIRECTORY [NAMESPACE-OF-ROOK]
#
# Again, and applied, when monitors have moved. A store that runs learns that from the cluster;
# one that starts needs a monitor that is still where it was.
set -eu

if [ $# -lt 1 ]; then
  sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' "$0" >&2
  exit 2
fi
directory=$1 namespace=${2:-rook-ceph}
umask 077
mkdir -p "$directory"

# secret NAME KEY: nothing of what is not there.
secret() {
  value=$(kubectl -n "$namespace" get secret "$1" -o "jsonpath={.data.$2}" | base64 -d)
  if [ -z "$value" ]; then
    echo "credentials.sh: Secret $namespace/$1 has no $2; Rook makes it" >&2
    exit 1
  fi
  echo "$value"
}

monitors=$(secret rook-ceph-config mon_host)
key=$(secret rook-ceph-client-restante restante)
printf '[global]\nmon_host = %s\n' "$monitors" >"$directory/ceph.conf"
printf '[client.restante]\n\tkey = %s\n' "$key" >"$directory/keyring"
