/* SPDX-License-Identifier: MIT */
#include "agent/image/steps.h"

#include <errno.h>
#include <string.h>

#include "agent/base/clock.h"
#include "agent/base/text.h"

int image_refuse_unknown(const char *what, struct pi_error *err)
{
    return pi_refuse(
        err, PI_UNVERIFIED,
        "%s has no published checksum%s: give the right one with --sha256 HEX, or take it as it is with "
        "--unverified",
        what,
        pi_starts_with(what, "http://") ? ", and anyone on the way can change what comes over http" : "");
}

int image_refuse_wrong(const char *name, const char *expected, const char *found, struct pi_error *err)
{
    return pi_refuse(err, PI_UNVERIFIED,
                     "%s has the wrong checksum: expected SHA-256 %s, found %s; nothing was kept", name,
                     expected, found);
}

int image_inspect(int fd, uint64_t size_bytes, struct image *image, struct pi_error *err)
{
    uint8_t bytes[IMAGE_HEADER_MAX];
    ssize_t n = pread(fd, bytes, sizeof bytes, 0);
    struct image_header header;
    if (n < 0)
        return pi_fail(err, errno, "cannot read %s", image->name);
    int r = image_header_check(bytes, (size_t)n, size_bytes, IMAGE_VIRTUAL_SIZE_MAX, &header, err);
    if (r < 0)
        return pi_context(err, r, "%s", image->name);
    image->format = header.format;
    image->size_bytes = size_bytes;
    image->virtual_size_bytes = header.virtual_size_bytes;
    return 0;
}

int image_complete(struct image_fetch *fetch, struct image_partial *partial, const char *sha256,
                   struct image *image, struct pi_error *err)
{
    if (image_meter_cancelled(&fetch->meter))
        return image_meter_give_up(&fetch->meter, err);
    memcpy(image->sha256, sha256, sizeof image->sha256);
    image->verified = image->checksum_source != IMAGE_CHECKSUM_NONE;
    image->fetched_ms = pi_realtime_ms();
    return image_partial_publish(partial, fetch->store, image, err);
}
