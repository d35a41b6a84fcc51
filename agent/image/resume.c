/* SPDX-License-Identifier: MIT */
#include "agent/image/resume.h"

#include <fcntl.h>
#include <string.h>

#include "agent/base/auto.h"
#include "agent/base/fields.h"
#include "agent/base/fs.h"
#include "agent/image/ref.h"

#define RECORD_MAX 16384u

static const struct pi_field fields[] = {
    PI_FIELD(image_resume, url, PI_FIELD_STRING, .required = true),
    PI_FIELD(image_resume, etag, PI_FIELD_STRING),
    PI_FIELD(image_resume, last_modified, PI_FIELD_STRING),
    PI_FIELD(image_resume, size_bytes, PI_FIELD_U64, .required = true),
    PI_FIELD(image_resume, done_bytes, PI_FIELD_U64, .required = true),
    PI_FIELD(image_resume, boot_id, PI_FIELD_TEXT, .required = true),
    {0},
};

const char *image_resume_validator(const struct image_resume *resume)
{
    return resume->etag ? resume->etag : resume->last_modified;
}

bool image_resume_possible(const struct image_resume *resume)
{
    return resume->done_bytes && resume->size_bytes && resume->done_bytes <= resume->size_bytes &&
           resume->url && image_is_url(resume->url) && image_resume_validator(resume);
}

bool image_resume_is_intact(const struct image_resume *resume)
{
    char now[PI_BOOT_ID_LENGTH + 1];
    return !resume->boot_id[0] || (pi_boot_id(now, NULL) == 0 && !strcmp(resume->boot_id, now));
}

bool image_resume_load(int dir_fd, const char *name, struct image_resume *ret)
{
    pi_auto_buf struct pi_buf text = {0};
    pi_auto_image_resume struct image_resume resume = {0};
    if (pi_file_read(dir_fd, name, RECORD_MAX, &text, NULL) < 0 || !text.size)
        return false;
    json_auto_t *object = pi_json_parse(text.data, text.size, NULL);
    if (!object || pi_fields_read(fields, object, true, &resume, NULL) < 0 || !image_resume_possible(&resume))
        return false;
    *ret = resume;
    resume = (struct image_resume){0};
    return true;
}

void image_resume_save(int dir_fd, const char *name, const struct image_resume *resume)
{
    struct image_resume kept = *resume; /* borrows */
    if (pi_boot_id(kept.boot_id, NULL) < 0)
        return;
    json_auto_t *object = pi_fields_write(fields, &kept);
    pi_auto_free char *text = object ? json_dumps(object, JSON_COMPACT) : NULL;
    pi_auto_close int fd = openat(dir_fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    /* If it cannot be written, the next fetch starts from the beginning. */
    if (text && fd >= 0)
        (void)pi_write_all(fd, text, strlen(text));
}

void image_resume_done(struct image_resume *resume)
{
    pi_fields_done(fields, resume);
    *resume = (struct image_resume){0};
}
