# bash completion for spikectl: source it, or put it into /usr/share/bash-completion/completions/spikectl.
_spikectl() {
  local word=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]}
  local all="--url --model --json --csv --help"
  local run="--timesteps --neuron --init --tau --shift --encoding --seed --readout --precision --calibration --top-k --budget-ms --timeout-ms --option"
  local admin="--admin-url --token-file"
  local flags=
  if [ "$COMP_CWORD" -eq 1 ]; then
    mapfile -t COMPREPLY < <(compgen -W "classify compare models status bench calibrate calibrations activate rollback job load unload --help --version" -- "$word")
    return
  fi
  case $previous in
    --neuron) mapfile -t COMPREPLY < <(compgen -W "if if-hard lif lif-soft srif srif-mpr asg if-signed" -- "$word"); return ;;
    --init) mapfile -t COMPREPLY < <(compgen -W "zero half weights data compensated matched" -- "$word"); return ;;
    --encoding) mapfile -t COMPREPLY < <(compgen -W "direct rate regular" -- "$word"); return ;;
    --method) mapfile -t COMPREPLY < <(compgen -W "matched data compensated weights" -- "$word"); return ;;
    --granularity) mapfile -t COMPREPLY < <(compgen -W "layer channel neuron" -- "$word"); return ;;
    --readout) mapfile -t COMPREPLY < <(compgen -W "potential count" -- "$word"); return ;;
    --precision) mapfile -t COMPREPLY < <(compgen -W "int8 float32" -- "$word"); return ;;
    --by) mapfile -t COMPREPLY < <(compgen -W "timesteps neuron init encoding readout precision" -- "$word"); return ;;
    -m | --model) mapfile -t COMPREPLY < <(compgen -W "$(spikectl models --csv 2>/dev/null | tail -n +2 | cut -d, -f1)" -- "$word"); return ;;
  esac
  case ${COMP_WORDS[1]} in
    classify) flags="$all $run --concurrency" ;;
    compare) flags="$all $run --by --values" ;;
    bench) flags="$all $run --rate --duration --connections --constant" ;;
    calibrate) flags="$all $admin --method --timesteps --neuron --tau --granularity --holdout --min-gain --no-activate --labels --wait" ;;
    job) flags="$all $admin --cancel --wait" ;;
    calibrations | activate | rollback | load | unload) flags="$all $admin" ;;
    *) flags=$all ;;
  esac
  case $word in
    -*) mapfile -t COMPREPLY < <(compgen -W "$flags" -- "$word") ;;
    *) mapfile -t COMPREPLY < <(compgen -f -- "$word") ;;
  esac
}
complete -o filenames -F _spikectl spikectl
