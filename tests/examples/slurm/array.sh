#!/bin/bash
# SPDX-License-Identifier: MIT
# An array job, each task one instance that does its work and powers itself off:
#   cd tests/examples/slurm && sbatch array.sh
# Options of piagent run may follow the script's name, which then beat those here.
#SBATCH --job-name=piagent
#SBATCH --array=1-4
#SBATCH --cpus-per-task=2
#SBATCH --mem=2G
#SBATCH --time=1:00:00
#SBATCH --output=%x-%a.log

# exec: Slurm sends SIGTERM to the script itself, too, and kills what is left of the job when that has ended.
exec piagent run "pi-$SLURM_ARRAY_TASK_ID" --job --user-data "$SLURM_SUBMIT_DIR/task.yaml" "$@"
