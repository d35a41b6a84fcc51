/* SPDX-License-Identifier: MIT */
#include "agent/instance/qemu_log.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/auto.h"
#include "agent/base/fs.h"
#include "agent/instance/instance.h"

#define LOG_FILE "qemu.log"
#define LOG_MAX  (1 << 20)
#define LOG_TAIL 8192

int qemu_log_open(const struct instance *instance)
{
    int fd = openat(instance->dir_fd, LOG_FILE,
                    O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
    return fd < 0 ? -errno : fd;
}

void qemu_log_trim(const struct instance *instance)
{
    char tail[LOG_TAIL];
    struct stat st;
    pi_auto_close int fd =
        openat(instance->dir_fd, LOG_FILE, O_RDWR | O_APPEND | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size <= LOG_MAX)
        return;
    ssize_t size = pread(fd, tail, sizeof tail, st.st_size - (off_t)sizeof tail);
    if (size > 0 && ftruncate(fd, 0) == 0) /* QEMU appends: it goes on at the new end */
        (void)pi_write_all(fd, tail, (size_t)size);
}

void qemu_log_last_line(const struct instance *instance, char *text, size_t size)
{
    pi_auto_close int fd = openat(instance->dir_fd, LOG_FILE, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    text[0] = '\0';
    if (fd >= 0)
        pi_last_line(fd, 0, text, size);
}
