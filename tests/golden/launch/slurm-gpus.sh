#!/bin/bash
#SBATCH --job-name=hpo
#SBATCH --array=0-7
#SBATCH --nodes=1
#SBATCH --ntasks=1
#SBATCH --cpus-per-task=8
#SBATCH --gres=gpu:4
#SBATCH --partition=gpu
#SBATCH --time=08:00:00
#SBATCH --requeue
#SBATCH --signal=B:USR1@300
#SBATCH --open-mode=append
#SBATCH --output=logs/%A_%a.log
#SBATCH --export=ALL
#SBATCH --account=vision
#SBATCH --mem=64G
again=
trap 'kill -TERM "$workers"' TERM
trap 'again=yes; kill -TERM "$workers"' USR1
hpo start-workers local first 'second one' --workers-per-device=2 --lease=30 --forever &
workers=$!
while wait "$workers"; code=$?; kill -0 "$workers" 2>/dev/null; do :; done
if [ -n "$again" ]; then
    scontrol requeue "${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID" && exit 0
fi
exit "$code"
