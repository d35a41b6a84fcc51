/* SPDX-License-Identifier: MIT */
#include "agent/seed/ssh_keygen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/auto.h"
#include "agent/base/fs.h"
#include "agent/base/random.h"

#define TYPE       "ssh-ed25519"
#define MAGIC      "openssh-key-v1" /* with its NUL (OpenSSH's PROTOCOL.key, 1) */
#define KEY_BYTES  32u              /* of a private and of a public key (RFC 8032, 5.1.5) */
#define BLOCK      8                /* without a cipher, PROTOCOL.key pads to this */
#define BLOB_BYTES (4 + sizeof TYPE - 1 + 4 + KEY_BYTES)

struct ed25519_pair {
    unsigned char private[KEY_BYTES], public[KEY_BYTES];
};

static int make_pair(struct ed25519_pair *ret)
{
    EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    size_t private_size = KEY_BYTES, public_size = KEY_BYTES;
    bool made = key && EVP_PKEY_get_raw_private_key(key, ret->private, &private_size) == 1 &&
                EVP_PKEY_get_raw_public_key(key, ret->public, &public_size) == 1;
    EVP_PKEY_free(key);
    return made ? 0 : -EIO;
}

static void put_number(FILE *to, uint32_t number)
{
    number = htonl(number);
    fwrite(&number, sizeof number, 1, to);
}

/* RFC 4251, section 5. */
static void put_string(FILE *to, const void *bytes, size_t size)
{
    put_number(to, (uint32_t)size);
    fwrite(bytes, 1, size, to);
}

/* RFC 8709, section 4: BLOB_BYTES. */
static void put_public(FILE *to, const struct ed25519_pair *pair)
{
    put_string(to, TYPE, strlen(TYPE));
    put_string(to, pair->public, KEY_BYTES);
}

/* PROTOCOL.key, 3. The public key stands behind the private one. */
static void put_private(FILE *to, const struct ed25519_pair *pair, uint32_t check, const char *comment)
{
    size_t size = 4 + 4 + BLOB_BYTES + 4 + sizeof *pair + 4 + strlen(comment);
    int padding = (int)(-size % BLOCK);
    put_number(to, (uint32_t)size + (uint32_t)padding);
    put_number(to, check);
    put_number(to, check);
    put_public(to, pair);
    put_string(to, pair, sizeof *pair);
    put_string(to, comment, strlen(comment));
    for (int pad = 1; pad <= padding; pad++)
        fputc(pad, to);
}

/* PROTOCOL.key, 1 and 2: no cipher, no key derivation, one key. */
static void put_key(FILE *to, const struct ed25519_pair *pair, uint32_t check, const char *comment)
{
    fwrite(MAGIC, 1, sizeof MAGIC, to);
    put_string(to, "none", strlen("none"));
    put_string(to, "none", strlen("none"));
    put_string(to, "", 0);
    put_number(to, 1);
    put_number(to, BLOB_BYTES);
    put_public(to, pair);
    put_private(to, pair, check, comment);
}

static int add_private_text(const struct ed25519_pair *pair, const char *comment, struct pi_buf *ret)
{
    pi_auto_free char *key = NULL, *text = NULL;
    size_t key_size, text_size;
    uint32_t check;
    int r = pi_random_bytes(&check, sizeof check);
    FILE *binary = r == 0 ? open_memstream(&key, &key_size) : NULL;
    if (!binary)
        return r < 0 ? r : -ENOMEM;
    put_key(binary, pair, check, comment);
    bool whole = !ferror(binary);
    FILE *pem = fclose(binary) == 0 && whole ? open_memstream(&text, &text_size) : NULL;
    if (!pem)
        return -ENOMEM;
    int written = PEM_write(pem, "OPENSSH PRIVATE KEY", "", (unsigned char *)key, (long)key_size);
    OPENSSL_cleanse(key, key_size);
    int r_close = fclose(pem);
    r = written > 0 && r_close == 0 ? pi_buf_add(ret, text, text_size) : -ENOMEM;
    if (text)
        OPENSSL_cleanse(text, text_size);
    return r;
}

static int add_public_text(const struct ed25519_pair *pair, const char *comment, struct pi_buf *ret)
{
    unsigned char blob[BLOB_BYTES + 1 /* fmemopen's NUL */], text[4 * (BLOB_BYTES / 3 + 1) + 1];
    FILE *binary = fmemopen(blob, sizeof blob, "wb");
    if (!binary)
        return -ENOMEM;
    put_public(binary, pair);
    fclose(binary);
    EVP_EncodeBlock(text, blob, BLOB_BYTES);
    return pi_buf_printf(ret, TYPE " %s %s", text, comment);
}

static int write_pair(int dir_fd, const char *name, const char *comment, struct pi_buf *public,
                      struct pi_error *err)
{
    struct ed25519_pair pair;
    pi_auto_buf struct pi_buf private = {0}, line = {0};
    char public_name[PATH_MAX];
    int r = make_pair(&pair);
    if (r == 0)
        r = add_private_text(&pair, comment, &private);
    if (r == 0)
        r = add_public_text(&pair, comment, public);
    if (r == 0)
        r = pi_buf_printf(&line, "%s\n", public->data);
    OPENSSL_cleanse(&pair, sizeof pair);
    if (r < 0)
        return pi_fail(err, -r, "libcrypto");
    snprintf(public_name, sizeof public_name, "%s.pub", name);
    r = pi_file_replace(dir_fd, public_name, line.data, line.size, 0600, err);
    return r < 0 ? r : pi_file_replace(dir_fd, name, private.data, private.size, 0600, err);
}

int seed_ssh_keygen(int dir_fd, const char *name, const char *comment, struct pi_buf *ret,
                    struct pi_error *err)
{
    pi_auto_buf struct pi_buf public = {0};
    if (faccessat(dir_fd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
        return pi_refuse(err, PI_CONFLICT, "there is an SSH key already: %s", name);
    int r = write_pair(dir_fd, name, comment, &public, err);
    if (r == 0)
        r = pi_buf_puts(ret, public.data);
    return r < 0 ? pi_context(err, r, "cannot make the SSH key %s", name) : 0;
}
