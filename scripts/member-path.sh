#!/bin/bash
# Runs the commands of docs/integrators.md, one block after the other in one
# shell, and compares what they print with the answers written there:
#
#   scripts/with-service scripts/member-path.sh
#
# or with SHUKE_URL and SHUKE_FAKES_URL of a service that runs with stand-ins.
set -uo pipefail
document=$(cd "$(dirname "$0")/.." && pwd)/docs/integrators.md
answer=$(mktemp)
trap 'rm -f "$answer"' EXIT

compared=0
# compare PATTERN: each part between two … must follow the one before it in what
# is left of the answer; what was matched is left behind.
compare() {
	local line=$1 piece
	while [ -n "$line" ]; do
		piece=${line%%…*}
		if [ "$piece" = "$line" ]; then line=; else line=${line#*…}; fi
		if [[ $rest != *"$piece"* ]]; then
			printf '%s\nanswered\n%s\nwithout\n%s\n' "$block" "$(cat "$answer")" "$1" >&2
			exit 1
		fi
		rest=${rest#*"$piece"}
	done
	compared=$((compared + 1))
}

kind='' block=''
while IFS= read -r line || [ -n "$line" ]; do
	case $kind:$line in
	:'```sh') kind=sh block='' ;;
	:'```answer') kind=answer rest=$(cat "$answer") ;;
	:'```'*) kind=other ;;
	sh:'```')
		kind=
		if ! eval "$block" >"$answer" 2>&1; then
			printf '%s\nfailed:\n%s\n' "$block" "$(cat "$answer")" >&2
			exit 1
		fi
		;;
	answer:'```' | other:'```') kind= ;;
	sh:*) block+=$line$'\n' ;;
	answer:*) compare "$line" ;;
	esac
done <"$document"
[ "$compared" -gt 10 ] || { echo "no answers were found in $document" >&2; exit 1; }
echo "ok: $compared answers are as docs/integrators.md says"
