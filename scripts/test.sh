#!/usr/bin/env bash
# scripts/test.sh lint|pytest...: runs all that is asked for, and ends with one line that says how each went.
set -uo pipefail
cd "$(dirname "$0")/.."

python=.venv/bin/python
results=()
failed=0

step() {
    local name=$1
    shift
    echo "test: $name"
    if "$@"; then
        results+=("$name ok")
    else
        results+=("$name FAILED")
        failed=1
    fi
}

SECONDS=0
for part in "$@"; do
    case $part in
        lint)
            step ruff "$python" -m ruff check .
            step mypy "$python" -m mypy
            ;;
        pytest) step pytest "$python" -m pytest -n 2 -rs ;;
        *)
            echo "usage: $0 lint|pytest..." >&2
            exit 2
            ;;
    esac
done
summary=$(printf ', %s' "${results[@]}")
echo "test: ${summary:2} ($SECONDS s)"
exit $failed
