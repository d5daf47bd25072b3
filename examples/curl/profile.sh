#!/bin/sh
# Prints a customer's profile behind Placet's gate, with curl alone: profile.sh CUSTOMER WHY.
# What is no 200 or 201 ends it, and so does silence. README.md says how to run it.
set -eu

customer=$1 why=$2
act="\"action\": \"customer.view\", \"subject\": \"customer:$customer\""
file=$(mktemp)
trap 'rm -f "$file"' EXIT

# call METHOD PATH [CURL OPTION...]: the answer is in $file. The key is not in the list of processes.
call() {
    method=$1 path=$2
    shift 2
    status=$(printf 'header = "Authorization: Bearer %s"\n' "$PLACET_API_KEY" |
        curl -sS --config - --max-time 70 --retry 3 --retry-connrefused -o "$file" -w '%{http_code}' \
            -X "$method" -H 'Content-Type: application/json' "$@" "$PLACET_URL$path") || status=none
    case $status in
        200 | 201) ;;
        *)
            printf '%s %s: %s. Nothing more is done.\n' "$method" "$path" "$status"
            cat "$file"
            echo
            return 1
            ;;
    esac
}

# The same key again is the same request, so curl's own retries ask people once.
key=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
call POST /v1/requests -H "Idempotency-Key: $key" \
    -d "{$act, \"requester\": {\"id\": \"okta:00u1\"}, \"justification\": \"$why\"}"
request=$(grep -o 'req_[0-9A-Z]*' "$file" | head -n 1)
echo "Asked: $request."

call GET "/v1/requests/$request?wait=60"
if ! grep -q '"status":"approved"' "$file"; then
    echo "The profile stays closed: $request is not approved."
    exit 1
fi
grant=$(grep -o 'grt_[0-9A-Z]*' "$file" | head -n 1)

# Redeem before you act; the nonce names this one use, so that a retry is the same one.
call POST "/v1/grants/$grant/redeem" -d "{$act, \"nonce\": \"$key\"}"
echo "Approved. The profile of $customer: Dana Weiss, dana.weiss@example.com"
call POST "/v1/grants/$grant/receipt" -d '{"records": 1, "outcome": "succeeded"}'
echo "Placet has the receipt."
