#!/usr/bin/env bash
# Brings what the demo and the tests need: programs (through apt) and Python packages (into .venv).
# Says what it does, one line a step. When everything is there it only looks: no network, about a tenth of a second.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { echo "setup: $*"; }
fail() { echo "setup: $*" >&2; exit 1; }
have() { command -v "$1" >/dev/null 2>&1; }
# Whether compiler $1 finds file $2 of its C library.
finds() { [[ "$("$1" -print-file-name="$2" 2>/dev/null)" == */* ]]; }

# ---- programs ----------------------------------------------------------------------------------------------------

missing=()
need() { missing+=("$@"); }
have make || need make
{ have gcc && finds gcc crt1.o; } || need gcc libc6-dev
have g++ || need g++
have clang || need clang
have arm-none-eabi-gcc || need gcc-arm-none-eabi
{ have arm-none-eabi-gcc && finds arm-none-eabi-gcc libc_nano.a; } || need libnewlib-arm-none-eabi
have aarch64-linux-gnu-gcc || need gcc-aarch64-linux-gnu
{ have aarch64-linux-gnu-gcc && finds aarch64-linux-gnu-gcc crt1.o; } || need libc6-dev-arm64-cross
have qemu-system-arm || need qemu-system-arm
have qemu-aarch64 || need qemu-user
have espeak-ng || need espeak-ng
{ have python3 && python3 -c 'import ensurepip, venv' 2>/dev/null; } || need python3 python3-venv

if ((${#missing[@]})); then
    if ! have apt-get; then
        fail "missing: ${missing[*]} (names of Debian packages). There is no apt-get here: install their like."
    elif [[ "$(id -u)" != 0 ]]; then
        fail "missing system packages. Run this, then try again:
  sudo apt-get update && sudo apt-get install -y --no-install-recommends ${missing[*]}"
    fi
    say "installing system packages: ${missing[*]}"
    log=$(mktemp)
    trap 'rm -f "$log"' EXIT
    export DEBIAN_FRONTEND=noninteractive
    if ! { apt-get update && apt-get install -y --no-install-recommends "${missing[@]}"; } >"$log" 2>&1; then
        tail -n 20 "$log" >&2
        fail "apt-get failed, see above"
    fi
else
    say "system packages: all there"
fi

# ---- Python ------------------------------------------------------------------------------------------------------

python=
for candidate in python3 python3.14 python3.13 python3.12 python3.11; do
    if have "$candidate" && "$candidate" -c 'import sys, ensurepip, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null
    then
        python=$candidate
        break
    fi
done
[[ -n $python ]] || fail "Python 3.11 or newer is needed, with its venv module; python3 is $(python3 --version 2>&1)"

# PyTorch first and pinned exactly, so that nothing else chooses another: see toolchain/intaglio/extras.py.
torch=torch==2.13.0
cpu_index=https://download.pytorch.org/whl/cpu
stamp=.venv/installed
wanted=$("$python" - "$torch" <<'PY'
import hashlib, pathlib, sys
parts = [pathlib.Path("pyproject.toml").read_bytes(), sys.argv[1].encode(), sys.version.encode(), str(pathlib.Path.cwd()).encode()]
print(hashlib.sha256(b"\0".join(parts)).hexdigest())
PY
)
if [[ "$(cat "$stamp" 2>/dev/null)" == "$wanted" ]] && .venv/bin/python -c '' 2>/dev/null; then
    say "Python packages: all there"
    exit 0
fi
if ! .venv/bin/python -c "import sys; sys.exit(sys.prefix != '$PWD/.venv')" 2>/dev/null; then
    say "making .venv with $("$python" --version)"
    "$python" -m venv --clear .venv
fi
rm -f "$stamp"
pip=(.venv/bin/python -m pip install --quiet --disable-pip-version-check)
reached() { .venv/bin/python -c 'import sys, urllib.request as u; u.urlopen(sys.argv[1], timeout=10)' "$1" 2>/dev/null; }
if reached "$cpu_index/torch/"; then
    say "installing $torch for CPUs from PyTorch's own index: downloads about 210 MB"
    "${pip[@]}" "$torch" --index-url "$cpu_index" || fail "pip failed, see above"
else
    say "PyTorch's index of CPU builds cannot be reached: installing $torch from where pip looks."
    say "On x86-64, PyPI's build downloads 2.7 GB, most of it for graphics cards."
    "${pip[@]}" "$torch" || fail "pip failed, see above"
fi
say "installing intaglio and its development packages into .venv: downloads about 170 MB"
"${pip[@]}" "$torch" -e '.[dev]' || fail "pip failed, see above"
echo "$wanted" >"$stamp"
