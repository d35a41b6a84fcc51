/* SPDX-License-Identifier: MIT */
#include "agent/seed/smbios.h"

#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "agent/base/auto.h"
#include "agent/base/text.h"

#define URL_CHARACTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~:/?#[]@!$&()*+,=%"

int seed_serial(const char *url, char ret[SEED_SERIAL_MAX + 1], struct pi_error *err)
{
    if (!pi_starts_with(url, "http://") || !pi_ends_with(url, "/"))
        return pi_refuse(err, PI_USAGE, "a seed's address starts with http:// and ends with '/'");
    if (url[strspn(url, URL_CHARACTERS)])
        return pi_refuse(
            err, PI_USAGE,
            "a seed's address may not hold a space, a quote or ';': cloud-init would cut it there");

    static const char form[] = "ds=nocloud;dsmode=net;s=";
    if (sizeof form + strlen(url) > SEED_SERIAL_MAX + 1)
        return pi_refuse(err, PI_USAGE, "a seed's address may have at most %zu characters",
                         SEED_SERIAL_MAX + 1 - sizeof form);
    snprintf(ret, SEED_SERIAL_MAX + 1, "%s%s", form, url);
    return 0;
}

/* DSP0134 3.6, table 9: the formatted area. Multi-byte values are little-endian. A string is a number, from
 * 1: its place in the set of strings that follows; 0 = none. */
struct system_information {
    uint8_t type, length, handle[2];
    uint8_t manufacturer, product, version, serial;
    uint8_t uuid[16];
    uint8_t wake_up;
    uint8_t sku, family;
};
static_assert(sizeof(struct system_information) == 0x1b, "section 7.2: 1Bh since 2.4");

/* Section 7.3. */
struct baseboard {
    uint8_t type, length, handle[2];
    uint8_t manufacturer, product, version, serial, asset_tag;
    uint8_t features, location, chassis[2], board_type, contained;
};
static_assert(sizeof(struct baseboard) == 0x0f, "0Fh if it contains nothing");

/* The types. QEMU's own handle of a structure is 0x0100 times its type. */
enum {
    SYSTEM_INFORMATION = 1,
    BASEBOARD = 2,
    CHASSIS = 3,
    WAKE_UP_POWER_SWITCH = 6, /* table 12; as in QEMU's own structure */
    HOSTING_BOARD = 1,        /* section 7.3.1 */
    MOTHERBOARD = 0x0a,       /* section 7.3.2 */
};

static int hex_value(char c)
{
    return c >= '0' && c <= '9'                     ? c - '0'
           : (c | 0x20) >= 'a' && (c | 0x20) <= 'f' ? (c | 0x20) - 'a' + 10
                                                    : -1;
}

/* Section 7.2.1: the first three fields are little-endian, the others as they are written. */
static int uuid_encode(const char *text, uint8_t ret[16])
{
    static const uint8_t wire[16] = {3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15};
    const char *p = text;
    for (size_t i = 0; i < 16; i++) {
        if ((i == 4 || i == 6 || i == 8 || i == 10) && *p++ != '-')
            return -EINVAL;
        int high = hex_value(p[0]);
        int low = high < 0 ? -1 : hex_value(p[1]);
        if (low < 0)
            return -EINVAL;
        ret[wire[i]] = (uint8_t)(high << 4 | low);
        p += 2;
    }
    return *p ? -EINVAL : 0;
}

/* Adds the string to the set that follows the formatted area. */
static int add_string(struct pi_buf *set, const char *text, uint8_t *count, uint8_t *ret_number)
{
    if (!text || !text[0])
        return 0;
    size_t length = strlen(text);
    if (length > SEED_SERIAL_MAX)
        return -E2BIG;
    *ret_number = ++*count;
    return pi_buf_add(set, text, length + 1);
}

/* Section 6.1.3: an empty string ends the set; if there are no strings, two empty ones. */
static int add_structure(const void *formatted, size_t size, struct pi_buf *set, struct pi_buf *ret)
{
    pi_auto_buf struct pi_buf whole = {0};
    int r = pi_buf_add(set, "\0", set->size ? 1 : 2);
    if (r == 0)
        r = pi_buf_add(&whole, formatted, size);
    if (r == 0)
        r = pi_buf_add(&whole, set->data, set->size);
    return r < 0 ? r : pi_buf_add(ret, whole.data, whole.size);
}

int seed_smbios_system(const struct seed_system *system, struct pi_buf *ret, struct pi_error *err)
{
    struct system_information info = {.type = SYSTEM_INFORMATION,
                                      .length = sizeof info,
                                      .handle = {0, SYSTEM_INFORMATION},
                                      .wake_up = WAKE_UP_POWER_SWITCH};
    if (uuid_encode(system->uuid, info.uuid) < 0)
        return pi_refuse(err, PI_USAGE, "'%s' is not a UUID", system->uuid);

    const struct {
        const char *text;
        uint8_t *number;
    } strings[] = {{system->manufacturer, &info.manufacturer},
                   {system->product, &info.product},
                   {system->version, &info.version},
                   {system->serial, &info.serial},
                   {system->sku, &info.sku},
                   {system->family, &info.family}};
    pi_auto_buf struct pi_buf set = {0};
    uint8_t count = 0;
    int r = 0;
    for (size_t i = 0; r == 0 && i < PI_ARRAY_SIZE(strings); i++)
        r = add_string(&set, strings[i].text, &count, strings[i].number);
    if (r == 0)
        r = add_structure(&info, sizeof info, &set, ret);
    return r < 0 ? pi_fail(err, -r, "cannot make the SMBIOS structure") : 0;
}

int seed_smbios_board(const char *serial, const char *asset_tag, struct pi_buf *ret, struct pi_error *err)
{
    struct baseboard board = {.type = BASEBOARD,
                              .length = sizeof board,
                              .handle = {0, BASEBOARD},
                              .features = HOSTING_BOARD,
                              .chassis = {0, CHASSIS},
                              .board_type = MOTHERBOARD};
    pi_auto_buf struct pi_buf set = {0};
    uint8_t count = 0;
    int r = add_string(&set, serial, &count, &board.serial);
    if (r == 0)
        r = add_string(&set, asset_tag, &count, &board.asset_tag);
    if (r == 0)
        r = add_structure(&board, sizeof board, &set, ret);
    return r < 0 ? pi_fail(err, -r, "cannot make the SMBIOS structure") : 0;
}
