#!/usr/bin/env bash
# Trains a character's LoRA with sd-scripts, after everything that can be checked was checked.
set -euo pipefail

usage() {
  cat <<'TEXT'
Usage: SD_SCRIPTS=/path/to/sd-scripts ./train.sh CONFIG.toml [--resume] [--check] [--name NAME]... [-- TRAINER OPTIONS]

  --resume   go on from the newest state that an interrupted run of this configuration left
  --check    stop after the checks
  --name     what the character is called, so that no caption says it (repeatable)

Nothing starts while a <tune> slot is left or `vestige lora check-config` or `check-dataset` finds an error. What was
run is written down first: <output_dir>/runs/<name>-<time>/ gets the exact command, the configuration, the report on the
pictures, the versions of everything, and the sha256 of the base and of every picture and caption.

SD_SCRIPTS  a checkout of kohya-ss/sd-scripts
PYTHON      the Python it was installed for (default: its venv, else python3)
VESTIGE     the vestige command (default: the one in this clone's .venv, else vestige)
TEXT
}

die() { printf 'train.sh: %s\n' "$*" >&2; exit 1; }

config= resume= check_only= names=() more=()
while [ $# -gt 0 ]; do
  case $1 in
    -h | --help) usage; exit 0 ;;
    --resume) resume=1 ;;
    --check) check_only=1 ;;
    --name) [ $# -gt 1 ] || die "--name wants a name"; names+=(--name "$2"); shift ;;
    --) shift; more=("$@"); break ;;
    -*) die "unknown option $1: see --help" ;;
    *) [ -z "$config" ] || die "one configuration at a time: $config or $1?"; config=$1 ;;
  esac
  shift
done
[ -n "$config" ] || { usage >&2; exit 2; }
[ -f "$config" ] || die "$config does not exist"
own=$(cd "$(dirname "$0")/.." && pwd)/.venv/bin/vestige   # where scripts/serve puts it
if [ -z "${VESTIGE:-}" ] && [ -x "$own" ]; then vestige=("$own"); else read -r -a vestige <<<"${VESTIGE:-vestige}"; fi
command -v "${vestige[0]}" >/dev/null || die "the command ${vestige[0]} is not here: install Vestige, or say VESTIGE=/path/to/vestige"

# relative paths in the configuration start where it lies
cd "$(dirname "$config")"
config=$(basename "$config")
! grep -n '<tune' "$config" | grep -v '^[0-9]*:[[:space:]]*#' | grep '= *"<tune' >&2 || die "$config still has the placeholders above: fill them in"
"${vestige[@]}" lora check-config "$config" || die "$config has errors (above): nothing was started"
{ read -r data; read -r output; read -r name; read -r base; } < <(
  "${vestige[@]}" lora check-config "$config" --value train_data_dir --value output_dir --value output_name --value pretrained_model_name_or_path
)
name=${name:-last}
run=$output/runs/$name-$(date -u +%Y%m%dT%H%M%SZ)
mkdir -p "$run"
if [ -n "$data" ]; then
  "${vestige[@]}" lora check-dataset "$data" --for "$config" ${names[@]+"${names[@]}"} --json "$run/dataset.json" --html "$run/dataset.html" \
    || die "the pictures have errors (above; with pictures: $run/dataset.html): nothing was started"
fi
[ -z "$check_only" ] || { echo "Checked; nothing was started."; exit 0; }

[ -n "${SD_SCRIPTS:-}" ] || die "say where sd-scripts is: SD_SCRIPTS=/path/to/sd-scripts"
script=$SD_SCRIPTS/sdxl_train_network.py
[ -f "$script" ] || die "$SD_SCRIPTS is no checkout of sd-scripts: sdxl_train_network.py is not there"
python=${PYTHON:-}
[ -n "$python" ] || for each in "$SD_SCRIPTS/venv/bin/python" "$SD_SCRIPTS/.venv/bin/python" python3; do
  command -v "$each" >/dev/null && { python=$each; break; }
done
"$python" -c 'import accelerate' 2>/dev/null || die "$python has no accelerate: install sd-scripts' requirements, or say PYTHON=/path/to/its/python"

command=("$python" -m accelerate.commands.launch --num_cpu_threads_per_process 1 "$script" --config_file "$config")
if [ -n "$resume" ]; then
  state=$(ls -1dt "$output/$name"-*state "$output/$name-state" 2>/dev/null | head -1 || true)
  [ -n "$state" ] || die "there is no state of $name in $output to go on from: save_state = true makes one for the next time"
  echo "Going on from $state"
  command+=(--resume "$state" --skip_until_initial_step)
fi
command+=(${more[@]+"${more[@]}"})

cp "$config" "$run/config.toml"
printf '%q ' "${command[@]}" >"$run/command.txt"; echo >>"$run/command.txt"
{
  echo "sd-scripts $(git -C "$SD_SCRIPTS" rev-parse HEAD 2>/dev/null || echo unknown)$(git -C "$SD_SCRIPTS" diff --quiet 2>/dev/null || echo ' (changed)')"
  "${vestige[@]}" version | sed 's/^/vestige /'
  "$python" - <<'PY'
import platform, sys
from importlib.metadata import PackageNotFoundError, version
print("python", sys.version.split()[0], platform.platform())
for package in ("torch", "accelerate", "diffusers", "transformers", "safetensors", "bitsandbytes", "xformers"):
    try:
        print(package, version(package))
    except PackageNotFoundError:
        pass
try:
    import torch
    print("card", torch.cuda.get_device_name(0) if torch.cuda.is_available() else "none")
except ImportError:
    pass
PY
} >"$run/versions.txt"
{
  sha256sum "$config"
  [ ! -f "$base" ] || sha256sum "$base"
  [ -z "$data" ] || find "$data" -type f \( -iname '*.png' -o -iname '*.jpg' -o -iname '*.jpeg' -o -iname '*.webp' -o -iname '*.bmp' -o -name '*.txt' \
    -o -name '*.caption' -o -name '*.csv' \) -print0 | sort -z | xargs -0 -r sha256sum
} >"$run/sha256.txt"
echo "Written down in $run"
exec "${command[@]}"
