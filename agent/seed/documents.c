/* SPDX-License-Identifier: MIT */
#include "agent/seed/documents.h"

#include <errno.h>
#include <jansson.h>
#include <string.h>

#include "agent/base/auto.h"
#include "agent/base/text.h"
#include "agent/seed/identity.h"
#include "agent/seed/password.h"
#include "agent/seed/smbios.h"
#include "agent/seed/ssh_key.h"
#include "agent/seed/user_data.h"

/* jansson keeps the order of insertion, so that the same spec renders to the same bytes. */
#define DUMP_FLAGS JSON_COMPACT

#define LOWER_DIGITS "abcdefghijklmnopqrstuvwxyz0123456789"

/* The address for reports is the board's serial number. A QEMU that an earlier piagent started has none
 * there: its guest reports to its seed's address, which it has in seed_serial()'s form. The link is dangling
 * until the hook has run, because the address of an earlier boot is of no use. */
static const char boot_hook[] =
    "#!/bin/sh\n"
    "seed=/var/lib/cloud/seed/nocloud\n"
    "tag=/sys/class/dmi/id/board_asset_tag\n"
    "mkdir -p $seed && rm -f $seed/meta-data\n"
    "if grep -qs '^" SEED_ASSET_TAG "' $tag; then\n"
    "    ln -s $tag $seed/meta-data\n"
    "else\n"
    "    echo '" SEED_ASSET_TAG "%s' >$seed/meta-data\n"
    "fi\n"
    "url=$(cd /sys/class/dmi/id && sed -n 's/^http/&/p; s/^ds=nocloud;.*;s=\\(http[^; ]*\\).*/\\1events/p' \\\n"
    "    board_serial product_serial 2>/dev/null | head -n 1)\n"
    "cfg=/run/cloud-init/piagent.cfg\n"
    "if [ \"$url\" ]; then\n"
    "%s%s%s"
    "    chmod -f o= /var/log/cloud-init.log\n"
    "    umask 077\n"
    "    echo '#cloud-config' >$cfg\n"
    "    echo \"reporting: {piagent: {type: webhook, endpoint: '$url', timeout: 5, retries: 1}}\" >>$cfg\n"
    "    size=$(cat /sys/block/vda/size 2>/dev/null || echo 0) end=0\n"
    "    for part in /sys/block/vda/vda*; do\n"
    "        read -r from <$part/start && read -r length <$part/size || continue\n"
    "        [ $((from + length)) -lt $end ] || end=$((from + length))\n"
    "    done 2>/dev/null\n"
    "    [ $end = 0 ] || [ $((size - end)) -ge 4096 ] || echo \"growpart: {mode: 'off'}\" >>$cfg\n"
    "    ln -sf $cfg /var/lib/cloud/instance/vendor2-cloud-config.txt\n"
    "fi\n";

/* At each boot of a clone: it does nothing if the machine-id is right. */
static const char machine_id_hook[] = "#!/bin/sh\n"
                                      "id=%s\n"
                                      "[ \"$(cat /etc/machine-id 2>/dev/null)\" = $id ] && exit 0\n"
                                      "echo $id >/etc/machine-id\n"
                                      "dbus=/var/lib/dbus/machine-id\n"
                                      "[ ! -f $dbus ] || [ -L $dbus ] || echo $id >$dbus\n"
                                      "systemctl try-restart systemd-journald systemd-networkd\n"
                                      "exit 0\n";

/* Runs once, in the guest's last stage. It costs nothing if cloud-init did not complain. If cloud-init's
 * schema warned, that may be about the image's own configuration: the script reports nothing if "cloud-init
 * schema" finds the user-data valid. It leaves out values that an error quotes from the file, because a value
 * may be a password, and the agent keeps reports in its journal. */
static const char user_data_check[] =
    "#!/bin/sh\n"
    "log=/var/log/cloud-init.log\n"
    "grep -Eqs 'schema.py.WARNING|Failed loading yaml|Unhandled .*userdata' $log || exit 0\n"
    "python3 - $log <<'END'\n"
    "import json, re, subprocess, sys, time, urllib.request\n"
    "url = re.search(\"endpoint: '(.*?)'\", open('/run/cloud-init/piagent.cfg').read()).group(1)\n"
    "log = open(sys.argv[1], errors='replace').read()\n"
    "said = re.findall(r'WARNING\\]: ((?:Failed loading yaml|Failed at merging|Unhandled .*userdata)[^\\n]*)', log)\n"
    "if re.search(r'schema.py\\[WARNING', log):\n"
    "    ran = subprocess.run(['cloud-init', 'schema', '--system'], text=True, stdout=-1, stderr=-2)\n"
    "    for errors in re.findall('schema errors: (.*)', ran.stdout):\n"
    "        said += re.split(r', (?=[\\w.-]+: )', errors)\n"
    "    if ran.returncode and not said:\n"
    "        said = ['failed schema validation: cloud-init schema --system']\n"
    "for text in list(dict.fromkeys(said))[:8]:\n"
    "    text = re.sub('userdata: .*', 'userdata', text)\n"
    "    text = re.sub(r'\\{.*\\}', '{...}', text)\n"
    "    text = re.sub(r'^([\\w.-]+): .* (is|does|has) (not|too|valid|non-|less)', r'\\1: it \\2 \\3', text)\n"
    "    text = re.sub('is not allowed for .*', 'is not allowed', text)\n"
    "    if text.startswith('Failed'):\n"
    "        text = re.sub(\"'([^']*)'\", lambda m: m[0] if len(m[1]) < 2 or m[1][0] == '<' else \"'...'\", text)\n"
    "    report = {'name': 'user-data/check', 'description': text[:250], 'event_type': 'finish',\n"
    "              'origin': 'piagent', 'timestamp': time.time(), 'result': 'WARN'}\n"
    "    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))\n"
    "    opener.open(url, json.dumps(report).encode(), timeout=5)\n"
    "END\n"
    "exit 0\n";

int seed_user_check(const char *name, struct pi_error *err)
{
    size_t length = strlen(name);
    if (!length || length > SEED_USER_MAX || strspn(name, LOWER_DIGITS "_-") != length ||
        strchr("-0123456789", name[0]))
        return pi_refuse(
            err, PI_USAGE,
            "a user's name has 1 to %d of a-z, 0-9, '_' and '-', and starts with a letter or '_'",
            SEED_USER_MAX);
    if (strcmp(name, "root") == 0)
        return pi_refuse(err, PI_USAGE,
                         "cloud-init disables logins as root: choose another user, who gets sudo");
    return 0;
}

static int instance_id_check(const char *id, struct pi_error *err)
{
    size_t length = strlen(id);
    if (!length || length > 64 || strspn(id, LOWER_DIGITS "ABCDEFGHIJKLMNOPQRSTUVWXYZ_-") != length)
        return pi_refuse(err, PI_USAGE, "an instance-id is 1 to 64 letters, digits, '-' and '_'");
    return 0;
}

static int groups_check(const char *groups, struct pi_error *err)
{
    size_t length = strlen(groups);
    if (!length || strspn(groups, LOWER_DIGITS "_-,") != length || strstr(groups, ",,") || groups[0] == ',' ||
        groups[length - 1] == ',')
        return pi_refuse(err, PI_USAGE, "groups are names of a-z, 0-9, '_' and '-', with commas between");
    return 0;
}

static int spec_check(const struct seed_spec *spec, struct pi_error *err)
{
    int r = instance_id_check(spec->instance_id, err);
    if (r == 0)
        r = pi_name_check(spec->hostname, err);
    if (r == 0)
        r = seed_user_check(spec->user, err);
    if (r == 0 && spec->groups)
        r = groups_check(spec->groups, err);
    if (r == 0 && spec->password_hash)
        r = seed_hash_check(spec->password_hash, err);
    for (size_t i = 0; r == 0 && i < spec->authorized_keys->count; i++)
        r = seed_ssh_key_check(spec->authorized_keys->items[i], err);
    if (r == 0)
        r = seed_ssh_key_check(spec->host_key_public, err);
    if (r == 0 && spec->machine_id &&
        (strlen(spec->machine_id) != 32 || strspn(spec->machine_id, "0123456789abcdef") != 32))
        r = pi_refuse(err, PI_USAGE, "a machine-id is 32 of 0-9 and a-f");
    if (r == 0 && spec->user_data_size > SEED_USER_DATA_MAX)
        r = pi_refuse(err, PI_USAGE, "the user-data is larger than 1 MiB");
    return r;
}

/* A header line, the value as JSON (which is YAML), a newline. */
static int add_json(struct pi_buf *buf, const char *header, const json_t *value)
{
    pi_auto_free char *text = value ? json_dumps(value, DUMP_FLAGS) : NULL;
    return text ? pi_buf_printf(buf, "%s%s\n", header, text) : -ENOMEM;
}

static int render_meta_data(const struct seed_spec *spec, struct pi_buf *ret)
{
    json_auto_t *keys = seed_ssh_keys_json(spec->authorized_keys);
    json_auto_t *meta = json_pack("{s:s, s:s, s:O}", "instance-id", spec->instance_id, "local-hostname",
                                  spec->hostname, "public-keys", keys);
    struct seed_fleet fleet = spec->fleet ? *spec->fleet : (struct seed_fleet){0};
    fleet.join_secret = spec->booted ? NULL : fleet.join_secret;
    if (meta && spec->fleet && seed_fleet_add(&fleet, meta) < 0)
        return -ENOMEM;
    return add_json(ret, "", meta);
}

/* Adds an optional text. (json_pack's "s*" would also leave it out if memory runs out.) */
static int add_text(json_t *object, const char *key, const char *text)
{
    return text ? json_object_set_new(object, key, json_string(text)) : 0;
}

/* hashed_passwd, unlike passwd, also reaches a user that the image already has. */
static json_t *account_json(const struct seed_spec *spec)
{
    json_auto_t *account = json_pack("{s:s, s:s, s:s, s:b}", "name", spec->user, "shell", "/bin/bash", "sudo",
                                     "ALL=(ALL) NOPASSWD:ALL", "lock_passwd", !spec->password_hash);
    if (add_text(account, "hashed_passwd", spec->booted ? NULL : spec->password_hash) < 0 ||
        add_text(account, "groups", spec->groups) < 0)
        return NULL;
    return json_incref(account);
}

static int render_user_data(const struct seed_spec *spec, struct pi_buf *ret)
{
    if (spec->user_data)
        return spec->booted ? 0 : pi_buf_add(ret, spec->user_data, spec->user_data_size);
    json_auto_t *config = json_pack("{s:o}", "user", account_json(spec));
    return add_json(ret, "#cloud-config\n", config);
}

/* After the first boot the guest has its host key. cloud-init must not replace it, as it would after
 * "cloud-init clean". Nobody needs the keys on the console: piagent made this one and checks it. */
static json_t *host_key_json(const struct seed_spec *spec)
{
    if (spec->booted)
        return json_pack("{s:b, s:[s], s:{s:b}}", "ssh_deletekeys", 0, "ssh_genkeytypes", "ed25519", "ssh",
                         "emit_keys_to_console", 0);
    return json_pack("{s:{s:s, s:s}, s:{s:b}}", "ssh_keys", "ed25519_private", spec->host_key_private,
                     "ed25519_public", spec->host_key_public, "ssh", "emit_keys_to_console", 0);
}

static int add_machine_id_hook(const struct seed_spec *spec, json_t *parts)
{
    pi_auto_buf struct pi_buf hook = {0};
    if (!spec->machine_id)
        return 0;
    int r = pi_buf_printf(&hook, machine_id_hook, spec->machine_id);
    return r < 0
               ? r
               : json_array_insert_new(
                     parts, 1, json_pack("{s:s, s:s}", "type", "text/cloud-boothook", "content", hook.data));
}

static int add_network_hook(const struct seed_spec *spec, json_t *parts)
{
    pi_auto_buf struct pi_buf hook = {0};
    if (!spec->network_count)
        return 0;
    int r = seed_network_hook(spec->hostname, spec->networks, spec->network_count, &hook);
    return r < 0 ? r
                 : json_array_append_new(
                       parts, json_pack("{s:s, s:s}", "type", "text/cloud-boothook", "content", hook.data));
}

static int add_identity_hook(const struct seed_spec *spec, json_t *parts)
{
    pi_auto_buf struct pi_buf hook = {0};
    if (!spec->identity_port)
        return 0;
    int r = seed_identity_hook(spec->identity_port, spec->user, &hook);
    return r < 0 ? r
                 : json_array_append_new(
                       parts, json_pack("{s:s, s:s}", "type", "text/cloud-boothook", "content", hook.data));
}

static int render_hook(const struct seed_spec *spec, struct pi_buf *ret)
{
    /* "/KEY/peers": the server is the one that takes the reports. */
    const char *path = spec->fleet ? strchr(spec->fleet->peers_url + strlen("http://"), '/') : NULL;
    return pi_buf_printf(ret, boot_hook, spec->instance_id,
                         path ? "    umask 022\n    echo \"${url%/*/*}" : "", path ? path : "",
                         path ? "\" >/run/cloud-init/piagent-peers-url\n" : "");
}

static int render_vendor_data(const struct seed_spec *spec, struct pi_buf *ret)
{
    json_auto_t *config = host_key_json(spec);
    if (!config || (spec->user_data && json_object_set_new(config, "user", account_json(spec)) < 0))
        return -ENOMEM;
    if (seed_network_of_name(spec->networks, spec->network_count) &&
        json_object_set_new(config, "manage_etc_hosts", json_false()) < 0)
        return -ENOMEM; /* the boot hook keeps the file (network_hook.h) */

    pi_auto_buf struct pi_buf config_text = {0}, hook_text = {0};
    int r = add_json(&config_text, "#cloud-config\n", config);
    if (r == 0)
        r = render_hook(spec, &hook_text);
    if (r < 0)
        return r;
    json_auto_t *parts = json_pack("[{s:s, s:s}, {s:s, s:s}, {s:s, s:s}]", "type", "text/cloud-config",
                                   "content", config_text.data, "type", "text/cloud-boothook", "content",
                                   hook_text.data, "type", "text/x-shellscript", "content", user_data_check);
    r = add_machine_id_hook(spec, parts);
    if (r == 0)
        r = add_network_hook(spec, parts);
    if (r == 0)
        r = add_identity_hook(spec, parts);
    if (r < 0)
        return r;
    return add_json(ret, "#cloud-config-archive\n", parts);
}

int seed_render(const struct seed_spec *spec, struct seed_documents *ret, struct pi_error *err)
{
    int r = spec_check(spec, err);
    if (r < 0)
        return pi_context(err, r, "cannot render the seed");

    struct seed_documents made = {0};
    r = render_meta_data(spec, &made.meta_data);
    if (r == 0)
        r = render_user_data(spec, &made.user_data);
    if (r == 0)
        r = render_vendor_data(spec, &made.vendor_data);
    if (r < 0) {
        seed_documents_done(&made);
        return pi_fail(err, -r, "cannot render the seed");
    }
    *ret = made;
    return 0;
}

void seed_documents_done(struct seed_documents *documents)
{
    pi_buf_done(&documents->meta_data);
    pi_buf_done(&documents->user_data);
    pi_buf_done(&documents->vendor_data);
    pi_buf_done(&documents->network_config);
}
