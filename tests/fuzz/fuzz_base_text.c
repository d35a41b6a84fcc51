/* SPDX-License-Identifier: MIT */
/* Text from anywhere: cleaning, and the parsers of what people write. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/auto.h"
#include "agent/base/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds)
        abort();
}

static void check_clean(const char *text, size_t size, size_t max)
{
    pi_auto_free char *clean = malloc(max), *twice = malloc(max);
    if (!clean || !twice)
        return;
    pi_text_clean(text, size, clean, max);
    size_t length = strlen(clean);
    require(length < max);
    for (size_t i = 0, n; i < length; i += n) {
        const unsigned char *s = (const unsigned char *)clean + i;
        n = pi_utf8_length(clean + i, length - i);
        require(n > 0 && *s >= ' ' && *s != 0x7f && !(n == 2 && s[0] == 0xc2 && s[1] < 0xa0));
    }
    require(!strstr(clean, "  ") && clean[0] != ' ' && (!length || clean[length - 1] != ' '));
    require(!strcmp(pi_text_clean(clean, length, twice, max), clean));
}

static void check_quoted(const char *text)
{
    pi_auto_free char *quoted = pi_shell_quote(text);
    if (!quoted || quoted[0] != '\'')
        return;
    /* Outside quotes there is nothing but \'. */
    const char *from = text, *s = quoted;
    while (*s == '\'') {
        for (s++; *s != '\''; s++)
            require(*s == *from++);
        s++;
        if (!strncmp(s, "\\'", 2)) {
            require(*from++ == '\'');
            s += 2;
        }
    }
    require(*s == '\0' && *from == '\0');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const words[] = {"run", "powerdown", "", NULL};
    struct pi_error err;
    uint64_t value;
    char shown[32];
    if (!size)
        return 0;
    check_clean((const char *)data, size, 1 + data[0] % 80);
    check_clean((const char *)data, size, 4 * size + 1);

    pi_auto_free char *text = strndup((const char *)data, size);
    if (!text)
        return 0;
    check_quoted(text);
    pi_nearest(text, words);
    require(pi_name_check(text, &err) < 0 || strlen(text) <= PI_NAME_MAX);
    if (pi_size_parse(text, &value, &err) == 0)
        require(value <= (uint64_t)1 << 60 && strlen(pi_size_format(value, shown)) < sizeof shown);
    if (pi_duration_parse(text, &value, &err) == 0)
        require(value <= 1000000000000u && strlen(pi_duration_format(value, shown)) < sizeof shown);
    if (pi_number_parse(text, 3, 5, &value, &err) == 0)
        require(value >= 3 && value <= 5);
    return 0;
}
