/* SPDX-License-Identifier: MIT */
#include "agent/seed/ssh_key.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/auto.h"
#include "agent/base/base64.h"
#include "agent/base/fs.h"
#include "agent/base/proc.h"
#include "agent/base/text.h"

/* The types that sshd accepts by default (sshd_config(5), PubkeyAcceptedAlgorithms). */
static const char *const types[] = {"ssh-ed25519",
                                    "ssh-rsa",
                                    "ecdsa-sha2-nistp256",
                                    "ecdsa-sha2-nistp384",
                                    "ecdsa-sha2-nistp521",
                                    "sk-ssh-ed25519@openssh.com",
                                    "sk-ecdsa-sha2-nistp256@openssh.com"};

#define BLANKS " \t"

struct key_parts {
    const char *type, *body;
    size_t type_length, body_length;
};

static struct key_parts key_split(const char *line)
{
    struct key_parts parts = {.type = line};
    parts.type_length = strcspn(line, BLANKS);
    parts.body = line + parts.type_length;
    parts.body += strspn(parts.body, BLANKS);
    parts.body_length = strcspn(parts.body, BLANKS);
    return parts;
}

static bool key_type_known(const char *type, size_t length)
{
    for (size_t i = 0; i < PI_ARRAY_SIZE(types); i++)
        if (strlen(types[i]) == length && memcmp(types[i], type, length) == 0)
            return true;
    return false;
}

/* Reads the next length-prefixed string of a key (RFC 4251, section 5), and moves *at past it. */
static bool blob_next(const uint8_t **at, size_t *left, const uint8_t **ret, size_t *ret_size)
{
    if (*left < 4)
        return false;
    const uint8_t *p = *at;
    size_t size = (size_t)p[0] << 24 | (size_t)p[1] << 16 | (size_t)p[2] << 8 | p[3];
    if (size > *left - 4)
        return false;
    *ret = p + 4;
    *ret_size = size;
    *at += 4 + size;
    *left -= 4 + size;
    return true;
}

/* A key of every known type consists of its name and one to three more strings. ret_last: the size in bits of
 * the last one, read as a number. In an RSA key that is the modulus. */
static bool blob_matches(const struct key_parts *key, size_t *ret_last)
{
    uint8_t blob[SEED_SSH_KEY_MAX] = {0};
    size_t size = 0, left = 0;
    if (pi_base64_decode(key->body, key->body_length, blob, &left) < 0)
        return false;
    const uint8_t *at = blob, *field = NULL;
    if (!blob_next(&at, &left, &field, &size) || size != key->type_length ||
        memcmp(field, key->type, size) != 0)
        return false;
    int more = 0;
    while (left > 0 && blob_next(&at, &left, &field, &size))
        more++;
    while (size && !*field) {
        field++;
        size--;
    }
    *ret_last = size * 8;
    for (unsigned top = size ? *field : 0x80; top < 0x80; top <<= 1)
        --*ret_last;
    return left == 0 && more >= 1 && more <= 3;
}

/* Files that people mistake for a public key, by how the first line begins. */
static const struct {
    const char *start, *what;
} others[] = {
    {"-----BEGIN CERTIFICATE",
     "this is an X.509 certificate: give an SSH public key, whose file ends in .pub"},
    {"-----BEGIN PUBLIC KEY",
     "this is a public key in PEM: give what 'ssh-keygen -i -m PKCS8 -f FILE' prints"},
    {"-----BEGIN RSA PUBLIC KEY",
     "this is a public key in PEM: give what 'ssh-keygen -i -m PEM -f FILE' prints"},
    {"-----BEGIN ",
     "this is a private key, which stays with you: give the public one, whose file ends in .pub"},
    {"---- BEGIN SSH2 PUBLIC KEY",
     "this is a public key in the form of PuTTY and RFC 4716: give what 'ssh-keygen -i -f FILE' prints"},
    {"---- BEGIN SSH2 ",
     "this is a private key, which stays with you: give the public one, in OpenSSH's form"},
    {"PuTTY-User-Key-File-",
     "this is PuTTY's private key, which stays with you: give the public one, which PuTTYgen "
     "shows for pasting into authorized_keys"},
    {"ssh-dss ",
     "this is a DSA key, which sshd no longer accepts: make another with 'ssh-keygen -t ed25519'"},
    {"\xef\xbb\xbf", "it starts with a byte order mark (BOM): save it as UTF-8 without one"},
};

/* Says why the line, whose first word is not the type of a key, is refused. */
static int type_refuse(const char *line, struct pi_error *err)
{
    static const char certificate[] = "-cert-v01@openssh.com";
    size_t first = strcspn(line, BLANKS);
    for (size_t i = 0; i < PI_ARRAY_SIZE(others); i++)
        if (pi_starts_with(line, others[i].start))
            return pi_refuse(err, PI_USAGE, "%s", others[i].what);
    if (first > strlen(certificate) &&
        !strncmp(line + first - strlen(certificate), certificate, strlen(certificate)))
        return pi_refuse(err, PI_USAGE,
                         "this is a certificate: give the public key that it was made from, whose file "
                         "ends in .pub without -cert");
    for (const char *word = line; *word;) {
        word += strcspn(word, BLANKS);
        word += strspn(word, BLANKS);
        if (key_type_known(word, strcspn(word, BLANKS)))
            return pi_refuse(err, PI_USAGE,
                             "options before an SSH key are not allowed: start the line at '%.*s'",
                             (int)strcspn(word, BLANKS), word);
    }
    return pi_refuse(
        err, PI_USAGE,
        "this is not an SSH public key: a key is one line, and starts with a type like ssh-ed25519 "
        "or ssh-rsa");
}

int seed_ssh_key_check(const char *line, struct pi_error *err)
{
    if (strnlen(line, SEED_SSH_KEY_MAX + 1) > SEED_SSH_KEY_MAX)
        return pi_refuse(err, PI_USAGE, "an SSH public key may have at most %d bytes", SEED_SSH_KEY_MAX);
    size_t bits;
    struct key_parts key = key_split(line);
    if (!key_type_known(key.type, key.type_length))
        return type_refuse(line, err);
    if (strpbrk(line, "\r\n"))
        return pi_refuse(err, PI_USAGE, "an SSH public key is one line");
    if (!pi_is_utf8(line))
        return pi_refuse(err, PI_USAGE,
                         "the key's comment is not UTF-8: save the file as UTF-8, or leave the comment out");
    if (!blob_matches(&key, &bits))
        return pi_refuse(err, PI_USAGE,
                         "the SSH public key (%.*s) is cut off or damaged: copy the whole line",
                         (int)key.type_length, key.type);
    return 0;
}

bool seed_ssh_key_is_weak(const char *line, char *ret, size_t size)
{
    size_t bits;
    struct key_parts key = key_split(line);
    if (key.type_length != strlen("ssh-rsa") || strncmp(key.type, "ssh-rsa", key.type_length) != 0 ||
        !blob_matches(&key, &bits) || bits >= SEED_SSH_RSA_BITS_MIN)
        return false;
    snprintf(ret, size,
             "an RSA key of %zu bits, but Fedora's sshd refuses fewer than %d (RequiredRSASize): "
             "make another with 'ssh-keygen -t ed25519'",
             bits, SEED_SSH_RSA_BITS_MIN);
    return true;
}

/* Cuts off a line that ends with LF, CR LF or CR. NULL = none is left. */
static char *line_next(char **text)
{
    char *line = *text;
    if (!line || !*line)
        return NULL;
    char *end = line + strcspn(line, "\r\n");
    *text = end + (end[0] == '\r' && end[1] == '\n') + (*end != '\0');
    *end = '\0';
    return line;
}

static int keys_add(const char *path, char *text, struct pi_strv *found, struct pi_error *err)
{
    unsigned number = 0;
    for (char *line; (line = line_next(&text));) {
        number++;
        line += strspn(line, BLANKS);
        if (!line[0] || line[0] == '#')
            continue;
        int r = seed_ssh_key_check(line, err);
        if (r < 0)
            return pi_context(err, r, "%s, line %u", path, number);
        if (found->count == SEED_SSH_KEYS_MAX)
            return pi_refuse(err, PI_USAGE, "%s holds more than %d keys", path, SEED_SSH_KEYS_MAX);
        if (pi_strv_add(found, line) < 0)
            return pi_fail(err, ENOMEM, "cannot read %s", path);
    }
    return found->count ? 0 : pi_refuse(err, PI_USAGE, "%s holds no SSH public key", path);
}

/* Refuses UTF-16 and NUL bytes, which C's string functions cannot read. */
static int text_check(const char *path, const struct pi_buf *text, struct pi_error *err)
{
    const char *data = text->data;
    if (!text->size)
        return pi_refuse(err, PI_USAGE, "%s is empty: give an SSH public key", path);
    bool mark = text->size >= 2 && (!memcmp(data, "\xff\xfe", 2) || !memcmp(data, "\xfe\xff", 2));
    if (mark || (text->size >= 2 && !data[0] != !data[1]))
        return pi_refuse(err, PI_USAGE, "%s is saved as UTF-16: save it as UTF-8", path);
    if (memchr(data, '\0', text->size))
        return pi_refuse(err, PI_USAGE, "%s is not an SSH public key: it holds NUL bytes", path);
    return 0;
}

int seed_ssh_keys_read(const char *path, struct pi_strv *keys, struct pi_error *err)
{
    pi_auto_buf struct pi_buf text = {0};
    int r = pi_file_read(AT_FDCWD, path, (size_t)SEED_SSH_KEYS_MAX * SEED_SSH_KEY_MAX, &text, err);
    if (r < 0)
        return pi_context(err, r, "cannot use the SSH key");
    r = text_check(path, &text, err);
    if (r < 0)
        return r;

    pi_auto_strv struct pi_strv found = {0};
    r = keys_add(path, text.data, &found, err);
    explicit_bzero(text.data, text.size); /* it may have been a private key */
    size_t before = keys->count;
    for (size_t i = 0; r == 0 && i < found.count; i++)
        r = pi_strv_add(keys, found.items[i]);
    if (r == -ENOMEM) {
        pi_strv_cut(keys, before);
        pi_fail(err, ENOMEM, "cannot read %s", path);
    }
    return r;
}

int seed_known_hosts_line(const char *alias, const char *public_key, struct pi_buf *ret, struct pi_error *err)
{
    if (!alias[0] || strpbrk(alias, BLANKS "\r\n,*?!|#@[]"))
        return pi_refuse(err, PI_USAGE, "'%s' cannot be the name of a host in known_hosts", alias);
    int r = seed_ssh_key_check(public_key, err);
    if (r < 0)
        return pi_context(err, r, "host key of %s", alias);
    struct key_parts key = key_split(public_key);
    r = pi_buf_printf(ret, "%s %.*s %.*s\n", alias, (int)key.type_length, key.type, (int)key.body_length,
                      key.body);
    return r < 0 ? pi_fail(err, -r, "cannot make the known_hosts line") : 0;
}

static json_t *key_json(const char *line)
{
    char clean[SEED_SSH_KEY_MAX + 1];
    size_t length = 0;
    for (; line[length] && length < SEED_SSH_KEY_MAX; length++) {
        char c = line[length];
        clean[length] = c >= ' ' && c <= '~' ? c : c == '\t' ? ' ' : '?';
    }
    return json_stringn(clean, length);
}

json_t *seed_ssh_keys_json(const struct pi_strv *lines)
{
    json_auto_t *keys = json_array();
    for (size_t i = 0; i < lines->count; i++)
        if (json_array_append_new(keys, key_json(lines->items[i])) < 0)
            return NULL;
    return json_incref(keys);
}
