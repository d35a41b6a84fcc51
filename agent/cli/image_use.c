/* SPDX-License-Identifier: MIT */
#include "agent/cli/image_use.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>

#include "agent/base/auto.h"
#include "agent/base/fields.h"
#include "agent/base/fs.h"

#define RECORD      "record.json" /* agent/vm/record.h */
#define RECORD_MAX  ((size_t)1 << 20)
#define FOLDER_OPEN (O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW)

static int add(json_t *use, const char *sha256, const char *name)
{
    json_t *names = json_object_get(use, sha256);
    if (!names && json_object_set_new(use, sha256, names = json_array()) < 0)
        return -ENOMEM;
    return json_array_append_new(names, json_string(name));
}

static int read_record(int instances_fd, const char *name, json_t *use, struct pi_error *err)
{
    pi_auto_buf struct pi_buf text = {0};
    pi_auto_close int dir_fd = openat(instances_fd, name, FOLDER_OPEN);
    if (dir_fd < 0)
        return errno == ENOTDIR || errno == ENOENT ? 0 : pi_fail(err, errno, "machine %s", name);
    int r = pi_file_read(dir_fd, RECORD, RECORD_MAX, &text, err);
    if (r == -ENOENT)
        return 0; /* being made, or removed */
    json_auto_t *record = r == 0 ? pi_json_parse(text.data ? text.data : "", text.size, err) : NULL;
    if (!record)
        return pi_context(err, -EBADMSG, "cannot tell which image machine %s uses: its " RECORD, name);
    const json_t *image = json_object_get(json_object_get(record, "spec"), "image");
    const char *sha256 = json_string_value(json_object_get(image, "sha256"));
    return sha256 && *sha256 && add(use, sha256, name) < 0 ? pi_fail(err, ENOMEM, "machine %s", name) : 0;
}

json_t *cli_image_use(const struct pi_paths *paths, struct pi_error *err)
{
    json_auto_t *use = json_object();
    pi_auto_closedir DIR *dir = opendir(paths->instances);
    int r = 0;
    if (!dir && errno != ENOENT)
        r = pi_fail(err, errno, "cannot read %s", paths->instances);
    for (struct dirent *entry; r == 0 && dir && (entry = readdir(dir));)
        if (entry->d_name[0] != '.')
            r = read_record(dirfd(dir), entry->d_name, use, err);
    return r < 0 ? NULL : json_incref(use);
}
