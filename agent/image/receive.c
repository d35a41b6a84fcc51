#include <errno.h>
#include <string.h>

#include "agent/image/digest.h"
#include "agent/image/download.h"
#include "agent/image/steps.h"

/* The digest names the partial where it is known, so that every way to an image leads to one download. */
static int take_partial(struct image_fetch *fetch, const struct image *image, struct image_partial *ret,
                        struct pi_error *err)
{
    char key[IMAGE_SHA256_LENGTH + 1];
    memcpy(key, image->sha256, sizeof key);
    if (!key[0] && image_digest_text(image->source, key) < 0)
        return pi_fail(err, ENOMEM, "%s", image->source);
    return image_partial_take(fetch->store, key, image->size_bytes, &fetch->meter, ret, err);
}

/* From the first address that has it. */
static int download(struct image_fetch *fetch, struct image *image, int fd,
                    char ret_sha256[IMAGE_SHA256_LENGTH + 1], uint64_t *ret_size_bytes, struct pi_error *err)
{
    int r = -ENOENT;
    for (size_t i = 0; i < fetch->urls.count && r == -ENOENT; i++) {
        struct image_download what = {.url = fetch->urls.items[i],
                                      .fd = fd,
                                      .size_bytes = image->size_bytes,
                                      .checksum_known = image->sha256[0] != '\0'};
        if (image_set(&image->source, what.url) < 0)
            return pi_fail(err, ENOMEM, "%s", what.url);
        image_meter_phase(&fetch->meter, IMAGE_DOWNLOADING, image->size_bytes);
        r = image_download(&what, &fetch->meter, ret_sha256, ret_size_bytes, err);
    }
    return r;
}

int image_receive(struct image_fetch *fetch, struct image *image, struct pi_error *err)
{
    pi_auto_image_partial struct image_partial partial = {.fd = -1};
    char sha256[IMAGE_SHA256_LENGTH + 1];
    uint64_t size_bytes;
    if (image_is_stored(fetch, image))
        return 0;
    int r = take_partial(fetch, image, &partial, err);
    if (r < 0)
        return r;
    if (image_is_stored(fetch, image))
        return 0;
    r = image_space_check(partial.fd, image->size_bytes, err);
    if (r < 0)
        return r;
    r = download(fetch, image, partial.fd, sha256, &size_bytes, err);
    if (r < 0)
        return r;
    image_meter_phase(&fetch->meter, IMAGE_CHECKING, size_bytes);
    if (image->sha256[0] && strcmp(image->sha256, sha256) != 0)
        return image_refuse_wrong(image, sha256, err);
    r = image_inspect(partial.fd, size_bytes, image, err);
    return r < 0 ? r : image_complete(fetch, &partial, sha256, image, err);
}
