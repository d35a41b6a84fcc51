/* The YAML of a cloud-config, as PyYAML in the guest will see it. Used by validate.c alone. */
#ifndef PIAGENT_SEED_YAML_CHECK_H
#define PIAGENT_SEED_YAML_CHECK_H

#include <stddef.h>

#include "agent/base/error.h"

/* The whole text, its first line included, so that line numbers are the file's. See seed_user_data_check().
 */
int seed_yaml_check(const char *data, size_t size, struct pi_error *err);

#endif
