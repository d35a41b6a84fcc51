/* SPDX-License-Identifier: MIT */
/* The folder of a job: in TMPDIR, or in /tmp. It has the agent's folders, and nothing of it outlives the job. */
#ifndef PIAGENT_CLI_JOB_FOLDER_H
#define PIAGENT_CLI_JOB_FOLDER_H

#include <limits.h>

#include "agent/base/error.h"

struct cli_job_folder {
    char path[PATH_MAX]; /* "" = none */
    int lock_fd;         /* locked as long as the job lives: who finds it unlocked may remove the folder */
};

/* Makes it, and sets XDG_DATA_HOME and XDG_RUNTIME_DIR to folders in it. Removes what killed jobs of this user have left
 * beside it. */
int cli_job_folder_make(struct cli_job_folder *ret, struct pi_error *err);

/* Removes it, when the agent in it has ended. */
int cli_job_folder_remove(struct cli_job_folder *folder, struct pi_error *err);

#endif
