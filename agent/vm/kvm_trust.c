/* SPDX-License-Identifier: MIT */
#include "agent/vm/kvm_trust.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/auto.h"
#include "agent/base/fs.h"

bool vm_kvm_distrusted(const char *runtime_folder, const char *boot_id)
{
    pi_auto_buf struct pi_buf text = {0};
    pi_auto_close int dir = open(runtime_folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return dir >= 0 && pi_file_read(dir, VM_KVM_DISTRUST_FILE, 64, &text, NULL) == 0 && text.data &&
           !strcmp(text.data, boot_id);
}

int vm_kvm_distrust(const char *runtime_folder, const char *boot_id)
{
    pi_auto_close int dir = open(runtime_folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return dir < 0 ? -errno
                   : pi_file_replace(dir, VM_KVM_DISTRUST_FILE, boot_id, strlen(boot_id), 0600, NULL);
}
