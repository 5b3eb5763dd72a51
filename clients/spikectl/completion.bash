# bash completion for spikectl: source it, or put it into /usr/share/bash-completion/completions/spikectl.

# What a daemon that answers has; nothing where there is none.
_spikectl_models() { spikectl models --csv 2>/dev/null | tail -n +2 | cut -d, -f1; }
_spikectl_calibrations() { spikectl calibrations --csv 2>/dev/null | tail -n +2 | cut -d, -f1; }

_spikectl() {
  local word=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]} command= words= i
  local all="--url --model --key-file --json --csv --help"
  local run="--timesteps --neuron --init --tau --shift --encoding --seed --readout --precision --calibration --top-k --budget-ms --timeout-ms --option"
  local admin="--admin-url --token-file"
  # bash breaks "--neuron=lif" into three words.
  if [ "$word" = = ]; then
    word=
  elif [ "$previous" = = ]; then
    previous=${COMP_WORDS[COMP_CWORD-2]}
  fi
  for ((i = 1; i < COMP_CWORD; i++)); do
    case ${COMP_WORDS[i]} in
      --url) ((i++)) ;;
      -*) ;;
      *) command=${COMP_WORDS[i]}; break ;;
    esac
  done
  case $previous in
    --neuron) words="if if-hard lif lif-soft srif srif-mpr asg if-signed" ;;
    --init) words="zero half weights data compensated matched" ;;
    --shift) words="0 1" ;;
    --encoding) words="direct rate regular" ;;
    --method) words="matched data compensated weights" ;;
    --granularity) words="layer channel neuron" ;;
    --readout) words="potential count" ;;
    --precision) words="int8 float32" ;;
    --by) words="timesteps neuron init encoding readout precision" ;;
    -m | --model) words=$(_spikectl_models) ;;
    --calibration) words="none $(_spikectl_calibrations)" ;;
    --token-file | --key-file | --labels)
      mapfile -t COMPREPLY < <(compgen -f -- "$word")
      return ;;
    --url | --admin-url | -T | --timesteps | --tau | --seed | --top-k | --budget-ms | --timeout-ms | --option | -c | --concurrency | --values | -r | --rate | \
      -d | --duration | --connections | --holdout | --min-gain) return ;; # a value that nobody else knows
    *)
      case $command in
        "") words="classify compare models status bench calibrate calibrations activate rollback job load unload --help --version --url" ;;
        classify) words="$all $run --concurrency" ;;
        compare) words="$all $run --by --values" ;;
        bench) words="$all $run --rate --duration --connections --constant" ;;
        calibrate) words="$all $admin --method --timesteps --neuron --tau --granularity --no-fit-thresholds --holdout --min-gain --no-activate --labels --wait" ;;
        job) words="$all $admin --cancel --wait" ;;
        calibrations | activate | rollback | load | unload) words="$all $admin" ;;
        *) words=$all ;;
      esac
      case $command:$word in
        *:-* | :*) ;;
        classify:* | compare:* | bench:* | calibrate:*)
          mapfile -t COMPREPLY < <(compgen -f -- "$word")
          return ;;
        activate:*) words="own $(_spikectl_calibrations)" ;;
        models:* | load:* | unload:*) words=$(_spikectl_models) ;;
        *) return ;;
      esac ;;
  esac
  mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
}
complete -o filenames -F _spikectl spikectl
