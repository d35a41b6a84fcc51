/* SPDX-License-Identifier: MIT */
/* A file that an earlier fetch left beside its partial. If it is accepted, it is written and read again. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "agent/image/ref.h"
#include "agent/image/resume.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A file in memory, by a path that opens it anew. */
static int file_new(char path[64])
{
    int fd = memfd_create("resume", MFD_CLOEXEC);
    snprintf(path, 64, "/proc/self/fd/%d", fd);
    return fd;
}

static void check(const char *path, const struct image_resume *resume)
{
    pi_auto_image_resume struct image_resume again = {0};
    if (!image_is_url(resume->url) || resume->done_bytes > resume->size_bytes || !resume->done_bytes)
        abort();
    image_resume_save(-1, path, resume);
    if (image_resume_load(-1, path, &again) &&
        (strcmp(again.url, resume->url) != 0 || again.done_bytes != resume->done_bytes))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char path[64];
    pi_auto_image_resume struct image_resume resume = {0};
    int fd = file_new(path);
    if (fd >= 0 && write(fd, data, size) == (ssize_t)size && image_resume_load(-1, path, &resume))
        check(path, &resume);
    close(fd);
    return 0;
}
