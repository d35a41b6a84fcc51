/* SPDX-License-Identifier: MIT */
/* Checks of texts that the schema cannot express. */
#include <stdio.h>
#include <string.h>

#include "agent/base/auto.h"
#include "agent/base/text.h"
#include "agent/seed/schema_run.h"
#include "agent/seed/ssh_key.h"

/* A crypt(5) hash starts with '$' or, with DES, has 13 characters; '!' and '*' lock the account. Never shows
 * the text, because it may be the password. */
static void hash_look(const struct seed_schema_run *run, const struct seed_place *place)
{
    const char *text = place->node->text;
    if (text[0] && !strchr("$!*", text[0]) && strlen(text) != 13)
        seed_tell(run, place,
                  "piagent hash-password makes one; a password in clear goes under plain_text_passwd",
                  "not a password's hash, so nobody can log in with it");
}

/* Does not check a key with options before it. */
static void ssh_key_look(const struct seed_schema_run *run, const struct seed_place *place)
{
    static const char *const starts[] = {"ssh-", "ecdsa-", "sk-", "-----BEGIN"};
    const char *text = place->node->text;
    char line[SEED_SSH_KEY_MAX + 2];
    struct pi_error why;
    size_t length = strlen(text);
    while (length && strchr(" \n\t", text[length - 1]))
        length--;
    bool looks = length < sizeof line && !memchr(text, ' ', length);
    for (size_t i = 0; i < PI_ARRAY_SIZE(starts); i++)
        looks = looks || pi_starts_with(text, starts[i]);
    if (!looks)
        return;
    snprintf(line, sizeof line, "%.*s", (int)length, text);
    char weak[192];
    if (seed_ssh_key_check(line, &why) < 0)
        seed_tell(run, place, "give the line of a .pub file", "%s", why.text);
    else if (seed_ssh_key_is_weak(line, weak, sizeof weak))
        seed_tell(run, place, NULL, "%s", weak);
}

/* YAML 1.1 reads "0o644" as text, and Python reads it as the same mode as "0644". */
static void mode_look(const struct seed_schema_run *run, const struct seed_place *place)
{
    const char *text = place->node->text;
    size_t prefix = pi_starts_with(text, "0o") ? 2 : 0;
    size_t octal = strspn(text + prefix, "01234567");
    if (text[prefix + octal] || octal < 3 || octal > 5)
        seed_tell(run, place, "write three or four octal digits in quotes, as '0644'", "not a file's mode");
}

void seed_look(const struct seed_schema_run *run, const char *look, const struct seed_place *place)
{
    static const struct {
        const char *name;
        void (*look)(const struct seed_schema_run *, const struct seed_place *);
    } looks[] = {{"hash", hash_look}, {"ssh-key", ssh_key_look}, {"mode", mode_look}};
    for (size_t i = 0; i < PI_ARRAY_SIZE(looks); i++)
        if (strcmp(look, looks[i].name) == 0)
            looks[i].look(run, place);
}
