#!/usr/bin/env bash
# Asks for suggestions and prints the answer: ./curl.sh "Checkout page". Needs curl 7.83 or newer and python3, to read JSON.
set -euo pipefail
jobs="${PLANNER_URL:-http://localhost:8000}/api/feature-planner/suggest-feature"
auth=(--header "Authorization: Bearer $PLANNER_TOKEN")
field() { python3 -c 'import json, sys; print(json.load(sys.stdin)[sys.argv[1]])' "$1"; }
body=$(python3 -c 'import json, sys; print(json.dumps({"pageOrComponent": sys.argv[1], "featureType": "enhancement", "priorityLevel": "high"}))' "${1:-Checkout page}")

# The key makes repeating safe. curl repeats after 408, 429, 5xx and whatever breaks, and heeds Retry-After.
key=$(python3 -c 'import uuid; print(uuid.uuid4())')
retry=(--silent --show-error --max-time 30 --retry 10 --retry-all-errors)
created=$(curl "${retry[@]}" "${auth[@]}" --header "Idempotency-Key: $key" --json "$body" "$jobs")
id=$(field jobId <<<"$created" 2>&-) || { echo "$created" >&2; exit 1; }

# One connection after another, each from the last event that was seen. A connection that is silent for 45 s, three
# keep-alives, is dead. Text goes by events: a `started` takes back what an earlier attempt has shown.
last='' outcome='' event='' failures=0
until [[ $outcome ]]; do
  while IFS= read -r line; do
    case $line in
      'id: '*) last=${line#id: } ;;
      'event: '*) event=${line#event: } ;;
      'data: '*)
        failures=0
        echo "$event $last" >&2
        case $event in complete | error | cancelled) outcome=$event ;; esac ;;
      'status: 204 '*) outcome=seen ;;
      'status: 40'[034]' '*) echo "$line" >&2 && exit 1 ;;
      'status: '*) # 200 and cut off, 000 and not there, 401 until a new token is there, 429, 503: come back
        read -r _ status after <<<"$line"
        (( ++failures < 40 )) && { [[ $status != 401 ]] || (( failures < 3 )); } || { echo "gave up: $line" >&2; exit 1; }
        [[ $outcome ]] || sleep $(( ${after:-0} > 1 ? after : failures < 15 ? failures : 15 )) ;;
    esac
  done < <(curl --silent --no-buffer --speed-limit 1 --speed-time 45 "${auth[@]}" \
    --header 'Accept: text/event-stream' ${last:+--header "Last-Event-ID: $last"} \
    --write-out '\nstatus: %{http_code} %header{retry-after}\n' "$jobs/$id" || true)
done

job=$(curl "${retry[@]}" "${auth[@]}" --header 'Accept: application/json' "$jobs/$id")
[[ $(field status <<<"$job") == completed ]] || { field error <<<"$job" >&2; exit 1; }
field text <<<"$job"
