#!/usr/bin/env bash
# scripts/test.sh lint|quick|pytest...: runs all that is asked for, and ends with one line that says how each went.
set -uo pipefail
cd "$(dirname "$0")/.."

python=.venv/bin/python
# What `make quick` asks: operators and kernels, the planner, who imports whom, facts of operators, some verbs.
cli=tests/stages/test_cli.py
quick=(
    tests/ops tests/kernels
    tests/stages/test_{plan,overlaps,imports,operator_facts,stack,columns,test_files}.py
    "$cli"::test_{inspect,compile_without_firmware_and_again,run_on_the_host_integers_and_floats,lists,the_program}
)
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
        quick) step quick "$python" -m pytest -n 2 -rs --cases 30 "${quick[@]}" ;;
        pytest) step pytest "$python" -m pytest -n 2 -rs ;;
        *)
            echo "usage: $0 lint|quick|pytest..." >&2
            exit 2
            ;;
    esac
done
summary=$(printf ', %s' "${results[@]}")
echo "test: ${summary:2} ($SECONDS s)"
exit $failed
