/* SPDX-License-Identifier: MIT */
#include "agent/seed/schema.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "agent/base/auto.h"
#include "agent/base/text.h"

/* In the order of strcmp(). A mapping that no row lies below may hold any keys; so may those of open_maps. */
static const struct seed_shape shapes[] = {
    {.path = "allow_public_ssh_keys", .types = SEED_BOOL},
    {.path = "ansible", .types = SEED_MAP},
    {.path = "apk_repos", .types = SEED_MAP},
    {.path = "apt", .types = SEED_MAP},
    {.path = "apt_pipelining", .types = SEED_BOOL | SEED_NUMBER | SEED_TEXT},
    {.path = "apt_reboot_if_required", .types = SEED_BOOL, .instead = "package_reboot_if_required"},
    {.path = "apt_update", .types = SEED_BOOL, .instead = "package_update"},
    {.path = "apt_upgrade", .types = SEED_BOOL, .instead = "package_upgrade"},
    {.path = "authkey_hash", .types = SEED_TEXT},
    {.path = "autoinstall", .types = SEED_MAP},
    {.path = "bootcmd", .types = SEED_LIST},
    {.path = "bootcmd[]", .types = SEED_TEXT | SEED_LIST},
    {.path = "bootcmd[][]", .types = SEED_SCALARS},
    {.path = "byobu_by_default", .types = SEED_TEXT},
    {.path = "ca-certs", .types = SEED_MAP, .instead = "ca_certs"},
    {.path = "ca_certs", .types = SEED_MAP},
    {.path = "ca_certs.remove-defaults", .types = SEED_BOOL, .instead = "remove_defaults"},
    {.path = "ca_certs.remove_defaults", .types = SEED_BOOL},
    {.path = "ca_certs.trusted", .types = SEED_LIST},
    {.path = "ca_certs.trusted[]", .types = SEED_TEXT},
    {.path = "chef", .types = SEED_MAP},
    {.path = "chpasswd", .types = SEED_MAP},
    {.path = "chpasswd.expire", .types = SEED_BOOL},
    {.path = "chpasswd.list", .types = SEED_TEXT | SEED_LIST, .instead = "users"},
    {.path = "chpasswd.users", .types = SEED_LIST},
    {.path = "chpasswd.users[]", .types = SEED_MAP, .needs = {"name"}},
    {.path = "chpasswd.users[].name", .types = SEED_TEXT},
    {.path = "chpasswd.users[].password", .types = SEED_TEXT},
    {.path = "chpasswd.users[].type", .types = SEED_TEXT, .words = "hash text RANDOM"},
    {.path = "cloud_config_modules", .types = SEED_LIST},
    {.path = "cloud_final_modules", .types = SEED_LIST},
    {.path = "cloud_init_modules", .types = SEED_LIST},
    {.path = "create_hostname_file", .types = SEED_BOOL},
    {.path = "datasource", .types = SEED_MAP},
    {.path = "device_aliases", .types = SEED_MAP},
    {.path = "disable_ec2_metadata", .types = SEED_BOOL},
    {.path = "disable_root", .types = SEED_BOOL},
    {.path = "disable_root_opts", .types = SEED_TEXT},
    {.path = "disk_setup", .types = SEED_MAP},
    {.path = "disk_setup.*", .types = SEED_MAP},
    {.path = "disk_setup.*.layout", .types = SEED_BOOL | SEED_TEXT | SEED_LIST},
    {.path = "disk_setup.*.overwrite", .types = SEED_BOOL},
    {.path = "disk_setup.*.table_type", .types = SEED_TEXT, .words = "mbr gpt"},
    {.path = "drivers", .types = SEED_MAP},
    {.path = "fan", .types = SEED_MAP},
    {.path = "final_message", .types = SEED_TEXT},
    {.path = "fqdn", .types = SEED_TEXT},
    {.path = "fs_setup", .types = SEED_LIST},
    {.path = "fs_setup[]", .types = SEED_MAP},
    {.path = "fs_setup[].cmd", .types = SEED_TEXT | SEED_LIST},
    {.path = "fs_setup[].device", .types = SEED_TEXT},
    {.path = "fs_setup[].extra_opts", .types = SEED_TEXT | SEED_LIST},
    {.path = "fs_setup[].filesystem", .types = SEED_TEXT},
    {.path = "fs_setup[].label", .types = SEED_TEXT},
    {.path = "fs_setup[].overwrite", .types = SEED_BOOL},
    {.path = "fs_setup[].partition", .types = SEED_TEXT | SEED_NUMBER},
    {.path = "fs_setup[].replace_fs", .types = SEED_TEXT},
    {.path = "groups", .types = SEED_TEXT | SEED_LIST | SEED_MAP},
    {.path = "groups[]", .types = SEED_TEXT | SEED_MAP},
    {.path = "growpart", .types = SEED_MAP},
    {.path = "growpart.devices", .types = SEED_LIST},
    {.path = "growpart.devices[]", .types = SEED_TEXT},
    {.path = "growpart.ignore_growroot_disabled", .types = SEED_BOOL},
    {.path = "growpart.mode", .types = SEED_BOOL | SEED_TEXT, .words = "auto growpart gpart off"},
    {.path = "grub-dpkg", .types = SEED_MAP, .instead = "grub_dpkg"},
    {.path = "grub_dpkg", .types = SEED_MAP},
    {.path = "hostname", .types = SEED_TEXT},
    {.path = "keyboard", .types = SEED_MAP},
    {.path = "keyboard.layout", .types = SEED_TEXT},
    {.path = "keyboard.model", .types = SEED_TEXT},
    {.path = "keyboard.options", .types = SEED_TEXT},
    {.path = "keyboard.variant", .types = SEED_TEXT},
    {.path = "landscape", .types = SEED_MAP},
    {.path = "launch-index", .types = SEED_NUMBER},
    {.path = "locale", .types = SEED_BOOL | SEED_TEXT},
    {.path = "locale_configfile", .types = SEED_TEXT},
    {.path = "lxd", .types = SEED_MAP},
    {.path = "manage_etc_hosts", .types = SEED_BOOL | SEED_TEXT, .words = "localhost template"},
    {.path = "manage_resolv_conf", .types = SEED_BOOL},
    {.path = "mcollective", .types = SEED_MAP},
    {.path = "merge_how", .types = SEED_TEXT | SEED_LIST},
    {.path = "merge_type", .types = SEED_TEXT | SEED_LIST},
    {.path = "migrate", .types = SEED_BOOL},
    {.path = "mount_default_fields", .types = SEED_LIST},
    {.path = "mounts", .types = SEED_LIST},
    {.path = "mounts[]", .types = SEED_LIST},
    {.path = "mounts[][]", .types = SEED_SCALARS},
    {.path = "no_ssh_fingerprints", .types = SEED_BOOL},
    {.path = "ntp", .types = SEED_NULL | SEED_MAP},
    {.path = "ntp.allow", .types = SEED_LIST},
    {.path = "ntp.allow[]", .types = SEED_TEXT},
    {.path = "ntp.config", .types = SEED_MAP},
    {.path = "ntp.enabled", .types = SEED_BOOL},
    {.path = "ntp.ntp_client", .types = SEED_TEXT},
    {.path = "ntp.peers", .types = SEED_LIST},
    {.path = "ntp.peers[]", .types = SEED_TEXT},
    {.path = "ntp.pools", .types = SEED_LIST},
    {.path = "ntp.pools[]", .types = SEED_TEXT},
    {.path = "ntp.servers", .types = SEED_LIST},
    {.path = "ntp.servers[]", .types = SEED_TEXT},
    {.path = "output", .types = SEED_MAP},
    {.path = "package_reboot_if_required", .types = SEED_BOOL},
    {.path = "package_update", .types = SEED_BOOL},
    {.path = "package_upgrade", .types = SEED_BOOL},
    {.path = "packages", .types = SEED_LIST},
    {.path = "packages[]", .types = SEED_TEXT | SEED_LIST | SEED_MAP},
    {.path = "packages[][]", .types = SEED_TEXT},
    {.path = "password", .types = SEED_TEXT},
    {.path = "phone_home", .types = SEED_MAP, .needs = {"url"}},
    {.path = "phone_home.post", .types = SEED_TEXT | SEED_LIST},
    {.path = "phone_home.tries", .types = SEED_NUMBER},
    {.path = "phone_home.url", .types = SEED_TEXT},
    {.path = "power_state", .types = SEED_MAP, .needs = {"mode"}},
    {.path = "power_state.condition", .types = SEED_TEXT | SEED_BOOL | SEED_LIST},
    {.path = "power_state.delay", .types = SEED_NUMBER | SEED_TEXT},
    {.path = "power_state.message", .types = SEED_TEXT},
    {.path = "power_state.mode", .types = SEED_TEXT, .words = "poweroff reboot halt"},
    {.path = "power_state.timeout", .types = SEED_NUMBER},
    {.path = "prefer_fqdn_over_hostname", .types = SEED_BOOL},
    {.path = "preserve_hostname", .types = SEED_BOOL},
    {.path = "puppet", .types = SEED_MAP},
    {.path = "random_seed", .types = SEED_MAP},
    {.path = "random_seed.command", .types = SEED_LIST},
    {.path = "random_seed.command_required", .types = SEED_BOOL},
    {.path = "random_seed.data", .types = SEED_TEXT},
    {.path = "random_seed.encoding", .types = SEED_TEXT, .words = "raw base64 b64 gzip gz"},
    {.path = "random_seed.file", .types = SEED_TEXT},
    {.path = "reporting", .types = SEED_MAP},
    {.path = "resize_rootfs", .types = SEED_BOOL | SEED_TEXT, .words = "noblock"},
    {.path = "resolv_conf", .types = SEED_MAP},
    {.path = "resolv_conf.domain", .types = SEED_TEXT},
    {.path = "resolv_conf.nameservers", .types = SEED_LIST},
    {.path = "resolv_conf.options", .types = SEED_MAP},
    {.path = "resolv_conf.searchdomains", .types = SEED_LIST},
    {.path = "resolv_conf.sortlist", .types = SEED_LIST},
    {.path = "rh_subscription", .types = SEED_MAP},
    {.path = "rpi", .types = SEED_MAP},
    {.path = "rsyslog", .types = SEED_MAP},
    {.path = "rsyslog.check_exe", .types = SEED_TEXT},
    {.path = "rsyslog.config_dir", .types = SEED_TEXT},
    {.path = "rsyslog.config_filename", .types = SEED_TEXT},
    {.path = "rsyslog.configs", .types = SEED_LIST},
    {.path = "rsyslog.configs[]", .types = SEED_TEXT | SEED_MAP},
    {.path = "rsyslog.install_rsyslog", .types = SEED_BOOL},
    {.path = "rsyslog.packages", .types = SEED_LIST},
    {.path = "rsyslog.remotes", .types = SEED_MAP},
    {.path = "rsyslog.service_reload_command", .types = SEED_TEXT | SEED_LIST},
    {.path = "runcmd", .types = SEED_LIST},
    {.path = "runcmd[]", .types = SEED_TEXT | SEED_LIST | SEED_NULL},
    {.path = "runcmd[][]", .types = SEED_SCALARS},
    {.path = "salt_minion", .types = SEED_MAP},
    {.path = "snap", .types = SEED_MAP},
    {.path = "spacewalk", .types = SEED_MAP},
    {.path = "ssh", .types = SEED_MAP},
    {.path = "ssh.emit_keys_to_console", .types = SEED_BOOL},
    {.path = "ssh_authorized_keys", .types = SEED_LIST},
    {.path = "ssh_authorized_keys[]", .types = SEED_TEXT, .look = SEED_LOOK_SSH_KEY},
    {.path = "ssh_deletekeys", .types = SEED_BOOL},
    {.path = "ssh_fp_console_blacklist", .types = SEED_LIST},
    {.path = "ssh_genkeytypes", .types = SEED_LIST},
    {.path = "ssh_genkeytypes[]", .types = SEED_TEXT, .words = "rsa ecdsa ed25519 dsa"},
    {.path = "ssh_import_id", .types = SEED_LIST},
    {.path = "ssh_import_id[]", .types = SEED_TEXT},
    {.path = "ssh_key_console_blacklist", .types = SEED_LIST},
    {.path = "ssh_keys", .types = SEED_MAP},
    {.path = "ssh_publish_hostkeys", .types = SEED_MAP},
    {.path = "ssh_pwauth", .types = SEED_BOOL | SEED_TEXT},
    {.path = "ssh_quiet_keygen", .types = SEED_BOOL},
    {.path = "swap", .types = SEED_MAP},
    {.path = "swap.filename", .types = SEED_TEXT},
    {.path = "swap.maxsize", .types = SEED_NUMBER | SEED_TEXT},
    {.path = "swap.size", .types = SEED_NUMBER | SEED_TEXT},
    {.path = "system_info", .types = SEED_MAP},
    {.path = "timezone", .types = SEED_TEXT},
    {.path = "ubuntu_advantage", .types = SEED_MAP, .instead = "ubuntu_pro"},
    {.path = "ubuntu_pro", .types = SEED_MAP},
    {.path = "updates", .types = SEED_MAP},
    {.path = "user", .types = SEED_TEXT | SEED_MAP},
    {.path = "users", .types = SEED_TEXT | SEED_LIST | SEED_MAP},
    {.path = "users[]", .types = SEED_TEXT | SEED_LIST | SEED_MAP, .needs = {"name", "snapuser"}},
    {.path = "users[].create-groups", .types = SEED_BOOL, .instead = "create_groups"},
    {.path = "users[].create_groups", .types = SEED_BOOL},
    {.path = "users[].doas", .types = SEED_LIST},
    {.path = "users[].expiredate", .types = SEED_TEXT},
    {.path = "users[].gecos", .types = SEED_TEXT},
    {.path = "users[].groups", .types = SEED_TEXT | SEED_LIST | SEED_MAP},
    {.path = "users[].groups[]", .types = SEED_TEXT},
    {.path = "users[].hashed-passwd", .types = SEED_TEXT, .instead = "hashed_passwd"},
    {.path = "users[].hashed_passwd", .types = SEED_TEXT, .look = SEED_LOOK_HASH},
    {.path = "users[].homedir", .types = SEED_TEXT},
    {.path = "users[].inactive", .types = SEED_TEXT | SEED_NUMBER},
    {.path = "users[].lock-passwd", .types = SEED_BOOL, .instead = "lock_passwd"},
    {.path = "users[].lock_passwd", .types = SEED_BOOL},
    {.path = "users[].name", .types = SEED_TEXT},
    {.path = "users[].no-create-home", .types = SEED_BOOL, .instead = "no_create_home"},
    {.path = "users[].no-log-init", .types = SEED_BOOL, .instead = "no_log_init"},
    {.path = "users[].no-user-group", .types = SEED_BOOL, .instead = "no_user_group"},
    {.path = "users[].no_create_home", .types = SEED_BOOL},
    {.path = "users[].no_log_init", .types = SEED_BOOL},
    {.path = "users[].no_user_group", .types = SEED_BOOL},
    {.path = "users[].passwd", .types = SEED_TEXT, .look = SEED_LOOK_HASH},
    {.path = "users[].plain-text-passwd", .types = SEED_TEXT, .instead = "plain_text_passwd"},
    {.path = "users[].plain_text_passwd", .types = SEED_TEXT},
    {.path = "users[].primary-group", .types = SEED_TEXT, .instead = "primary_group"},
    {.path = "users[].primary_group", .types = SEED_TEXT},
    {.path = "users[].selinux-user", .types = SEED_TEXT, .instead = "selinux_user"},
    {.path = "users[].selinux_user", .types = SEED_TEXT},
    {.path = "users[].shell", .types = SEED_TEXT},
    {.path = "users[].snapuser", .types = SEED_TEXT},
    {.path = "users[].ssh-authorized-keys", .types = SEED_LIST, .instead = "ssh_authorized_keys"},
    {.path = "users[].ssh-import-id", .types = SEED_LIST, .instead = "ssh_import_id"},
    {.path = "users[].ssh-redirect-user", .types = SEED_BOOL, .instead = "ssh_redirect_user"},
    {.path = "users[].ssh_authorized_keys", .types = SEED_LIST},
    {.path = "users[].ssh_authorized_keys[]", .types = SEED_TEXT, .look = SEED_LOOK_SSH_KEY},
    {.path = "users[].ssh_import_id", .types = SEED_LIST},
    {.path = "users[].ssh_import_id[]", .types = SEED_TEXT},
    {.path = "users[].ssh_redirect_user", .types = SEED_BOOL},
    {.path = "users[].sudo", .types = SEED_TEXT | SEED_LIST | SEED_BOOL | SEED_NULL},
    {.path = "users[].system", .types = SEED_BOOL},
    {.path = "users[].uid", .types = SEED_NUMBER | SEED_TEXT},
    {.path = "vendor_data", .types = SEED_MAP},
    {.path = "version", .types = SEED_TEXT},
    {.path = "wireguard", .types = SEED_NULL | SEED_MAP},
    {.path = "wireguard.interfaces", .types = SEED_LIST},
    {.path = "wireguard.readinessprobe", .types = SEED_LIST},
    {.path = "write_files", .types = SEED_LIST},
    {.path = "write_files[]", .types = SEED_MAP, .needs = {"path"}},
    {.path = "write_files[].append", .types = SEED_BOOL},
    {.path = "write_files[].content", .types = SEED_TEXT},
    {.path = "write_files[].defer", .types = SEED_BOOL},
    {.path = "write_files[].encoding",
     .types = SEED_TEXT,
     .words = "b64 base64 gz gzip gz+b64 gz+base64 gzip+b64 gzip+base64 text/plain"},
    {.path = "write_files[].owner", .types = SEED_TEXT},
    {.path = "write_files[].path", .types = SEED_TEXT},
    {.path = "write_files[].permissions", .types = SEED_TEXT, .look = SEED_LOOK_MODE},
    {.path = "write_files[].source", .types = SEED_MAP},
    {.path = "yum_repo_dir", .types = SEED_TEXT},
    {.path = "yum_repos", .types = SEED_MAP},
    {.path = "yum_repos.*", .types = SEED_MAP},
    {.path = "yum_repos.*.baseurl", .types = SEED_TEXT | SEED_LIST},
    {.path = "yum_repos.*.enabled", .types = SEED_BOOL | SEED_NUMBER | SEED_TEXT},
    {.path = "yum_repos.*.gpgcheck", .types = SEED_BOOL | SEED_NUMBER | SEED_TEXT},
    {.path = "yum_repos.*.metalink", .types = SEED_TEXT},
    {.path = "yum_repos.*.mirrorlist", .types = SEED_TEXT},
    {.path = "yum_repos.*.name", .types = SEED_TEXT},
    {.path = "zypper", .types = SEED_MAP},
};

/* Some of their keys have rows; others are another program's, a distribution's or other people's. */
static const char *const open_maps[] = {"yum_repos.*", "rsyslog"};

static int compare(const void *key, const void *shape)
{
    return strcmp(key, ((const struct seed_shape *)shape)->path);
}

const struct seed_shape *seed_shape_find(const char *path)
{
    return bsearch(path, shapes, PI_ARRAY_SIZE(shapes), sizeof shapes[0], compare);
}

/* The key that a row is for in the mapping at path, where it is a row of that mapping's own. */
static const char *child_key(const struct seed_shape *shape, const char *path)
{
    size_t length = strlen(path);
    const char *key = shape->path + length;
    if (!pi_starts_with(shape->path, path) || (length && *key++ != '.'))
        return NULL;
    return strpbrk(key, ".[*") ? NULL : key;
}

/* The keys of the mapping at path, deprecated ones left out: they are not to be advised. */
static size_t children(const char *path, const char *keys[PI_ARRAY_SIZE(shapes) + 1])
{
    size_t count = 0;
    for (size_t i = 0; i < PI_ARRAY_SIZE(shapes); i++) {
        const char *key = shapes[i].instead ? NULL : child_key(&shapes[i], path);
        if (key)
            keys[count++] = key;
    }
    keys[count] = NULL;
    return count;
}

bool seed_shape_is_closed(const char *path)
{
    const char *keys[PI_ARRAY_SIZE(shapes) + 1];
    for (size_t i = 0; i < PI_ARRAY_SIZE(open_maps); i++)
        if (strcmp(path, open_maps[i]) == 0)
            return false;
    return children(path, keys) > 0;
}

const char *seed_shape_nearest(const char *path, const char *key)
{
    const char *keys[PI_ARRAY_SIZE(shapes) + 1];
    char plain[64];
    size_t i = 0;
    /* "Write-Files" is as near as "write_files". */
    for (; key[i] && i + 1 < sizeof plain; i++)
        plain[i] = key[i] == '-' ? '_' : (char)tolower((unsigned char)key[i]);
    plain[i] = '\0';
    children(path, keys);
    return pi_nearest(plain, keys);
}

static bool is_one_of(const char *text, size_t length, const char *const *words)
{
    for (; *words; words++)
        if (strlen(*words) == length && strncasecmp(text, *words, length) == 0)
            return true;
    return false;
}

/* Decimal, octal, hexadecimal, binary, sexagesimal ("12:30:00", PyYAML has it) and with a fraction or
 * exponent. What a version number has (two points) makes a text. */
static bool is_number(const char *text, size_t length)
{
    size_t i = text[0] == '+' || text[0] == '-', points = 0, digits = 0;
    if (length > i + 2 && text[i] == '0' && (text[i + 1] == 'x' || text[i + 1] == 'b')) {
        for (i += 2; i < length; i++)
            if (!isxdigit((unsigned char)text[i]) && text[i] != '_')
                return false;
        return true;
    }
    if (i < length && !isdigit((unsigned char)text[i]) && text[i] != '.')
        return false;
    for (; i < length; i++) {
        bool sexagesimal = text[i] == ':' && i + 1 < length && text[i + 1] <= '5';
        digits += isdigit((unsigned char)text[i]) != 0;
        points += text[i] == '.';
        if (!isdigit((unsigned char)text[i]) && text[i] != '.' && text[i] != '_' && !sexagesimal)
            return false;
    }
    return digits > 0 && points <= 1;
}

static const char *digits_skip(const char *text, size_t least, size_t most)
{
    size_t count = strspn(text, "0123456789");
    return count >= least && count <= most ? text + count : NULL;
}

/* "2030-01-31", or with a time behind it: then month and day may have one digit. */
static bool is_date(const char *text)
{
    const char *at = digits_skip(text, 4, 4);
    for (int i = 0; at && i < 2; i++)
        at = *at == '-' ? digits_skip(at + 1, 1, 2) : NULL;
    if (!at || !*at)
        return at && at - text == (ptrdiff_t)strlen("2030-01-31");
    if (!strchr("Tt \t", *at))
        return false;
    at = digits_skip(at + 1 + strspn(at + 1, " \t"), 1, 2);
    for (int i = 0; at && i < 2; i++)
        at = *at == ':' ? digits_skip(at + 1, 2, 2) : NULL;
    return at && !at[strspn(at, "0123456789:.+-Z \t")];
}

enum seed_type seed_scalar_type(const char *text, size_t length)
{
    static const char *const nulls[] = {"~", "null", NULL};
    static const char *const bools[] = {"yes", "no", "true", "false", "on", "off", NULL};
    if (length == 0 || is_one_of(text, length, nulls))
        return SEED_NULL;
    if (is_one_of(text, length, bools))
        return SEED_BOOL;
    if (is_date(text))
        return SEED_DATE;
    return is_number(text, length) ? SEED_NUMBER : SEED_TEXT;
}
