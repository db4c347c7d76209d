#!/usr/bin/env bash
# look.sh FUZZER SECONDS CORPUS [KEEP]: lets a fuzzer look for so long, beginning
# with what was kept. What breaks it is left beside it. With KEEP, what it found
# that the corpus does not reach goes into the corpus: new edges, not new counts.
set -euo pipefail
fuzzer=$1 seconds=$2 corpus=$3 keep=${4:-}
export UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1
found=$(mktemp -d)
trap 'rm -rf "$found"' EXIT
[ -n "$(ls -A "$corpus")" ] || { echo "look: no corpus in $corpus" >&2; exit 1; }
options=(-max_len=8192 -timeout=30 -rss_limit_mb=2048 -print_final_stats=1 -artifact_prefix="$fuzzer-")
[ ! -e "${corpus%/corpus/*}/$(basename "$fuzzer").dict" ] ||
  options+=(-dict="${corpus%/corpus/*}/$(basename "$fuzzer").dict")
"$fuzzer" "${options[@]}" -max_total_time="$seconds" "$found" "$corpus"
[ -z "$keep" ] || "$fuzzer" -max_len=8192 -merge=1 -use_counters=0 "$corpus" "$found"
