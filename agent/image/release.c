/* SPDX-License-Identifier: MIT */
#include "agent/image/release.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/auto.h"
#include "agent/base/text.h"

static const struct {
    unsigned number;
    const char *compose; /* of the final images; NULL if they are not out */
    const char *signer;
} releases[] = {
    {38, "1.6", "6A51BBABBA3D5467B6171221809A8D7CEB10B464"},
    {39, "1.5", "E8F23996F23218640CB44CBE75CF5AC418B8E74C"},
    {40, "1.14", "115DF9AEF857853EE8445D0A0727707EA15B79CC"},
    {41, "1.4", "466CF2D8B60BC3057AA9453ED0622462E99D6AD1"},
    {42, "1.1", "B0F4950458F69E1150C6C5EDC8AC4916105EF944"},
    {43, "1.6", "C6E7F081CF80E13146676E88829B606631645531"},
    {44, "1.7", "36F612DCF27F7D1A48A835E4DBFCF71C6D9F90A6"},
    {45, NULL, "4F50A6114CD5C6976A7F1179655A4B02F577861E"},
    {46, NULL, "D924B10D3E810DABDD8B56B596E7E91491211FCE"},
    {47, NULL, "B2E766FA50CA6FA2D5ED06FC09D879E09488FB64"},
};

const char *image_release_signer(const char *release)
{
    unsigned long number = strtoul(release, NULL, 10); /* a beta is signed as its release is */
    for (size_t i = 0; i < PI_ARRAY_SIZE(releases); i++)
        if (releases[i].number == number)
            return releases[i].signer;
    return NULL;
}

unsigned image_release_known(size_t index)
{
    return index < PI_ARRAY_SIZE(releases) ? releases[index].number : 0;
}

bool image_release_name(const char *release, const char *arch, struct image_name *ret)
{
    uint64_t number;
    if (pi_number_parse(release, 1, 999, &number, NULL) < 0)
        return false;
    for (size_t i = 0; i < PI_ARRAY_SIZE(releases); i++) {
        if (releases[i].number != number || !releases[i].compose)
            continue;
        *ret = (struct image_name){0};
        snprintf(ret->release, sizeof ret->release, "%s", release);
        snprintf(ret->compose, sizeof ret->compose, "%s", releases[i].compose);
        snprintf(ret->arch, sizeof ret->arch, "%s", arch);
        return true;
    }
    return false;
}

int image_fingerprint_parse(const char *text, char ret[IMAGE_FINGERPRINT_LENGTH + 1])
{
    if (!pi_is_hex(text, IMAGE_FINGERPRINT_LENGTH))
        return -EINVAL;
    for (size_t i = 0; i <= IMAGE_FINGERPRINT_LENGTH; i++)
        ret[i] = (char)toupper((unsigned char)text[i]);
    return 0;
}
