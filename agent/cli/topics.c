/* SPDX-License-Identifier: MIT */
#include "agent/cli/topics.h"

#include <stddef.h>

#include "agent/cli/options.h"

static const struct cli_topic values = {
    .name = "values",
    .summary = "how sizes, durations and images are written",
    .section = "VALUES",
    .intro = "What is given to options, and shown in the same way.",
    .facts =
        (const struct cli_fact[]){
            {"sizes",
             "512M, 1G, 1.5 GiB, 4096 (bytes): K, M, G, T and P are powers of 1024, with or without B "
             "or iB behind them"},
            {"durations", "90s, 2m, 1h30m, 1.5h, 2 days, 1 week, 500ms, 90 (seconds)"},
            {"images", "fedora (the newest release), fedora:44, fedora:45-beta, an https URL, or the path of "
                       "a local file"},
            {"names", "a machine's name is its host name, too: 1 to 63 of a-z, 0-9 and -"},
            {0},
        },
};

static const struct cli_topic json = {
    .name = "json",
    .summary = "what --json prints",
    .section = "JSON OUTPUT",
    .intro =
        "A command with --json prints one JSON object on standard output and nothing for people; what streams "
        "(image fetch, and what follows a boot) prints an object a line, and validate a list with an object "
        "for each file. On a terminal it is indented.\n\n"
        "Keys tell units: _bytes, _mib, _ms. A time is in milliseconds since 1970 (created_ms), a duration in "
        "milliseconds. An absent key is a value that there is not.\n\n"
        "An error is one line on standard error, {\"error\": {\"kind\": KIND, \"message\": TEXT}}. Of a command that acts on several machines or images each "
        "has an object in the list, with an \"error\" of the same shape where it failed. KIND is not-found, "
        "conflict and so on, as the exit code tells.",
};

static const struct cli_topic environment = {
    .name = "environment",
    .summary = "the environment variables that count",
    .section = "ENVIRONMENT",
    .intro = "A variable beats the same key of config.json (in lower case, without PIAGENT_).",
    .facts =
        (const struct cli_fact[]){
            {"NO_COLOR", "set and not empty: no colours (https://no-color.org); there are none either where "
                         "TERM is dumb, or output is no terminal"},
            {"PIAGENT_FEDORA_INDEX_URL", "Fedora's list of releases"},
            {"PIAGENT_FEDORA_URL", "where images come from; several with spaces between them"},
            {"PIAGENT_FEDORA_CHECKSUM_URL", "where the signed CHECKSUM files come from"},
            {"PIAGENT_FEDORA_ARCHIVE_URL", "where releases that ended come from"},
            {"PIAGENT_FEDORA_METALINK_URL", "Fedora's list of mirrors, or none"},
            {"PIAGENT_FEDORA_KEYS_URL", "where signing keys come from"},
            {"PIAGENT_FEDORA_SIGNER", "44:FINGERPRINT,...: for a rebuild that signs with its own key"},
            {"PIAGENT_FEDORA_STALL_S", "seconds after which a server that sends nothing is left"},
            {"https_proxy, http_proxy, all_proxy, no_proxy", "proxies, as curl takes them"},
            {"CURL_CA_BUNDLE, SSL_CERT_FILE", "the certificates that servers are checked with"},
            {"PIAGENT_PASS_ENVIRONMENT",
             "names of variables, with spaces between them, that the agent, its workers and QEMU are given; else these "
             "get PATH, LD_LIBRARY_PATH, HOME, USER, LOGNAME, TMPDIR, LANG, LANGUAGE, LC_..., TZ and XDG_..._HOME, "
             "XDG_RUNTIME_DIR, and what fetches images the variables above"},
            {"XDG_DATA_HOME, XDG_CACHE_HOME, XDG_CONFIG_HOME, XDG_RUNTIME_DIR",
             "where files are, see piagent help files; folders of another user's, as sudo -E leaves them, are "
             "refused"},
            {0},
        },
};

static const struct cli_topic files = {
    .name = "files",
    .summary = "where things are",
    .section = "FILES",
    .facts =
        (const struct cli_fact[]){
            {"~/.local/share/piagent/instances/NAME/",
             "a machine: its record, disk, SSH identity, journal, and the logs of its console and of QEMU"},
            {"~/.local/share/piagent/agent.log", "the agent's log"},
            {"~/.cache/piagent/images/", "images by their SHA-256, read-only, with where they come from"},
            {"~/.config/piagent/config.json", "configuration: see piagent help environment"},
            {"~/.config/piagent/keys/", "keys that may have signed an image: *.asc, *.gpg"},
            {"$XDG_RUNTIME_DIR/piagent/", "sockets and locks; /tmp/piagent-UID/ where it is unset"},
            {0},
        },
};

static const struct cli_topic exit_codes = {
    .name = "exit-codes",
    .summary = "what a command's exit code means",
    .section = "EXIT STATUS",
    .intro = "piagent ssh has the exit code of ssh. A command that a signal interrupts ends with 128 and the "
             "signal's number.",
    .facts =
        (const struct cli_fact[]){
            {"0", "done"},
            {"1", "something broke"},
            {"2", "the command or its values are wrong"},
            {"3", "no such machine, image or file"},
            {"4", "the name is in use, or the state forbids it"},
            {"5", "a checksum or signature is missing or wrong, or an image is not safe"},
            {"6", "this host lacks something: QEMU, firmware, KVM, memory, disk, a free port"},
            {"7", "a download failed"},
            {"8",
             "the guest's cloud-init failed or, in its first boot, did not report; its kernel panicked, its boot got "
             "stuck, or it died"},
            {"9", "it did not happen in time"},
            {"10", "the agent does not answer or cannot start"},
            {0},
        },
};

const struct cli_topic *const cli_topics[] = {&values, &json, &environment, &files, &exit_codes, NULL};

int cli_topic_help(const struct cli_topic *topic, unsigned width, struct pi_buf *ret)
{
    int r = topic->intro ? cli_wrap(topic->intro, 0, 0, width, ret) : 0;
    if (r == 0 && topic->intro && topic->facts)
        r = pi_buf_puts(ret, "\n");
    for (const struct cli_fact *fact = topic->facts; r == 0 && fact && fact->term; fact++)
        r = cli_help_entry(fact->term, fact->text, width, ret);
    return r;
}
