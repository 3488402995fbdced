#!/usr/bin/env bash
# The suites against transformers and PEFT: `bash scripts/live-suites.sh` (npm run test:live). Their Python is made once, in
# ~/.cache/facellm-oracle, or named by FACELLM_ORACLE_PYTHON. The reference scripts of FACELLM_ORACLE lie beside some checkouts
# only; without them the suites that need them are skipped. `--python` only makes and prints that Python; it fails, with the
# reason on the last line, where that cannot be done: no network, FACELLM_OFFLINE=1, or more than FACELLM_ORACLE_LIMIT seconds.
set -eu
cd "$(dirname "$0")/.."
folder="${XDG_CACHE_HOME:-$HOME/.cache}/facellm-oracle"
python="${FACELLM_ORACLE_PYTHON:-$folder/bin/python}"
limit="${FACELLM_ORACLE_LIMIT:-600}"

is_ready() { PYTHONPATH=scripts "$python" -c 'import known_torchvision, peft, safetensors, torch, transformers' >/dev/null 2>&1; }

make_python() {
  [ "${FACELLM_OFFLINE:-}" != 1 ] || { echo 'FACELLM_OFFLINE=1 forbids fetching transformers and PEFT'; return 1; }
  echo "making a Python with torch, transformers and PEFT in $folder (about 1 GB)"
  cpu_index=$(node -e "import('./scripts/install/fetch-libtorch.mjs').then((m) => console.log(m.CPU_INDEX))")
  pip() { timeout "$limit" "$folder/bin/python" -m pip install --quiet --disable-pip-version-check "$@"; }
  python3 -m venv "$folder"
  pip --retries 0 'torch==2.13.0+cpu' || pip --index-url "$cpu_index" torch==2.13.0
  pip torchvision==0.28.0 transformers==5.18.0 peft==0.21.0 accelerate safetensors tokenizers numpy pillow jinja2
}

if ! is_ready; then
  [ -z "${FACELLM_ORACLE_PYTHON:-}" ] || { echo "$python (FACELLM_ORACLE_PYTHON) lacks torch, transformers or PEFT" >&2; exit 1; }
  make_python >&2
  is_ready || { echo "$python cannot import torch, transformers and PEFT" >&2; exit 1; }
fi
[ "${1:-}" != --python ] || { echo "$python"; exit 0; }
export FACELLM_ORACLE_PYTHON="$python"
[ -n "${FACELLM_ORACLE:-}" ] || [ ! -d ../shared/oracle ] || export FACELLM_ORACLE="$PWD/../shared/oracle"
exec node scripts/test.mjs 'test/golden/*-live.test.ts'
