#!/bin/bash
#SBATCH --job-name=imports
#SBATCH --array=1-32
#SBATCH --cpus-per-task=4
#SBATCH --mem=8G
#SBATCH --time=02:00:00
#SBATCH --requeue
#SBATCH --output=imports-%A-%a.log

# Submit this from the project's folder, on a file system that all nodes share, with REPORT set to the
# folder for the reports; then merge:
#   jobid=$(REPORT=$PWD/reports/nightly sbatch --parsable slurm.sh)
#   sbatch --dependency=afterany:$jobid --wrap="deadlock-matrix report merge $PWD/reports/nightly/*/ -o merged"
set -euo pipefail
part="${REPORT:?}/part-$SLURM_ARRAY_TASK_ID"

# A task that was preempted is queued again, and goes on where it was.
if [ -e "$part/plan.json" ]; then
  exec deadlock-matrix run --resume "$part" --jobs "${SLURM_CPUS_PER_TASK:-1}"
fi
exec deadlock-matrix run --shard "$SLURM_ARRAY_TASK_ID/$SLURM_ARRAY_TASK_COUNT" \
  --deadlock-matrix-report="$part" --jobs "${SLURM_CPUS_PER_TASK:-1}"
