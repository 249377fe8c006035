#!/bin/bash
#SBATCH --job-name=hpo
#SBATCH --array=0-0
#SBATCH --nodes=1
#SBATCH --ntasks=1
#SBATCH --cpus-per-task=1
#SBATCH --requeue
#SBATCH --signal=B:USR1@120
#SBATCH --open-mode=append
#SBATCH --output=hpo-%A_%a.log
#SBATCH --export=ALL
again=
trap 'kill -TERM "$workers"' TERM
trap 'again=yes; kill -TERM "$workers"' USR1
hpo start-workers local quickstart &
workers=$!
while wait "$workers"; code=$?; kill -0 "$workers" 2>/dev/null; do :; done
if [ -n "$again" ]; then
    scontrol requeue "${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID" && exit 0
fi
exit "$code"
