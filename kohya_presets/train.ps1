# Trains a character's LoRA with sd-scripts, after everything that can be checked was checked. The twin of train.sh.
#   $env:SD_SCRIPTS = 'C:\sd-scripts'; .\train.ps1 config.toml [-Resume] [-Check] [-Name NAME,...] [-More TRAINER OPTIONS]
# SD_SCRIPTS: a checkout of kohya-ss/sd-scripts. PYTHON: its Python (default: its venv). VESTIGE: the vestige command.
param(
  [Parameter(Mandatory)] [string] $Config,
  [switch] $Resume,
  [switch] $Check,
  [string[]] $Name = @(),
  [string[]] $More = @()
)
$ErrorActionPreference = 'Stop'
Set-StrictMode -Version 3

function Stop-With([string] $Message) { [Console]::Error.WriteLine("train.ps1: $Message"); exit 1 }
if (-not (Test-Path -LiteralPath $Config -PathType Leaf)) { Stop-With "$Config does not exist" }
$vestige = if ($env:VESTIGE) { $env:VESTIGE } else { 'vestige' }
if (-not (Get-Command $vestige -ErrorAction SilentlyContinue)) { Stop-With "the command $vestige is not here: install Vestige, or set VESTIGE" }

# relative paths in the configuration start where it lies
$file = Get-Item -LiteralPath $Config
Set-Location -LiteralPath $file.DirectoryName
$Config = $file.Name

$slots = @(Select-String -LiteralPath $Config -Pattern '=\s*"<tune' | Where-Object { $_.Line -notmatch '^\s*#' })
if ($slots) { $slots | ForEach-Object { "$($_.LineNumber): $($_.Line)" }; Stop-With "$Config still has the placeholders above: fill them in" }
& $vestige lora check-config $Config
if ($LASTEXITCODE -ne 0) { Stop-With "$Config has errors (above): nothing was started" }

$values = @(& $vestige lora check-config $Config --value train_data_dir --value output_dir --value output_name --value pretrained_model_name_or_path)
$data, $output, $output_name, $base = $values
if (-not $output_name) { $output_name = 'last' }
$run = Join-Path $output "runs/$output_name-$((Get-Date).ToUniversalTime().ToString('yyyyMMddTHHmmssZ'))"
New-Item -ItemType Directory -Force -Path $run | Out-Null
if ($data) {
  $named = @($Name | ForEach-Object { '--name'; $_ })
  & $vestige lora check-dataset $data --for $Config @named --json (Join-Path $run 'dataset.json') --html (Join-Path $run 'dataset.html')
  if ($LASTEXITCODE -ne 0) { Stop-With "the pictures have errors (above; with pictures: $run/dataset.html): nothing was started" }
}
if ($Check) { 'Checked; nothing was started.'; exit 0 }

if (-not $env:SD_SCRIPTS) { Stop-With 'say where sd-scripts is: $env:SD_SCRIPTS' }
$script = Join-Path $env:SD_SCRIPTS 'sdxl_train_network.py'
if (-not (Test-Path -LiteralPath $script)) { Stop-With "$env:SD_SCRIPTS is no checkout of sd-scripts: sdxl_train_network.py is not there" }
$python = $env:PYTHON
if (-not $python) {
  $python = @('venv', '.venv' | ForEach-Object { Join-Path $env:SD_SCRIPTS "$_/Scripts/python.exe" }) | Where-Object { Test-Path -LiteralPath $_ } | Select-Object -First 1
  if (-not $python) { $python = 'python' }
}
& $python -c 'import accelerate'
if ($LASTEXITCODE -ne 0) { Stop-With "$python has no accelerate: install sd-scripts' requirements, or set PYTHON" }

$arguments = @('-m', 'accelerate.commands.launch', '--num_cpu_threads_per_process', '1', $script, '--config_file', $Config)
if ($Resume) {
  $state = Get-ChildItem -LiteralPath $output -Directory | Where-Object { $_.Name -like "$output_name-*state" } | Sort-Object LastWriteTime | Select-Object -Last 1
  if (-not $state) { Stop-With "there is no state of $output_name in $output to go on from: save_state = true makes one for the next time" }
  "Going on from $($state.FullName)"
  $arguments += @('--resume', $state.FullName, '--skip_until_initial_step')
}
$arguments += $More

Copy-Item -LiteralPath $Config -Destination (Join-Path $run 'config.toml')
(@($python) + $arguments | ForEach-Object { if ($_ -match '\s') { "'$_'" } else { $_ } }) -join ' ' | Set-Content (Join-Path $run 'command.txt')
$packages = 'torch', 'accelerate', 'diffusers', 'transformers', 'safetensors', 'bitsandbytes', 'xformers'
@(
  "sd-scripts $(git -C $env:SD_SCRIPTS rev-parse HEAD)"
  "vestige $(& $vestige version)"
  & $python --version
  & $python -m pip list --format freeze | Where-Object { ($_ -split '==')[0] -in $packages }
) | Set-Content (Join-Path $run 'versions.txt')
$kept = '.png', '.jpg', '.jpeg', '.webp', '.bmp', '.txt', '.caption', '.csv'
@(
  Get-Item -LiteralPath $Config
  if (Test-Path -LiteralPath $base -PathType Leaf) { Get-Item -LiteralPath $base }
  if ($data) { Get-ChildItem -LiteralPath $data -Recurse -File | Where-Object { $_.Extension.ToLower() -in $kept } | Sort-Object FullName }
) | ForEach-Object { "$((Get-FileHash -LiteralPath $_.FullName -Algorithm SHA256).Hash.ToLower())  $($_.FullName)" } | Set-Content (Join-Path $run 'sha256.txt')
"Written down in $run"
& $python @arguments
exit $LASTEXITCODE
