/* SPDX-License-Identifier: MIT */
/* Checks the host's ports, the signing keys, and Fedora's server. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "agent/base/auto.h"
#include "agent/doctor/check.h"
#include "agent/image/http.h"
#include "agent/image/signature.h"
#include "agent/image/sources.h"
#include "agent/vm/host_port.h"

#define FEDORA_MS 3000u

void doctor_check_ports(const struct doctor_host *host, int arg, struct doctor_finding *ret)
{
    uint16_t port;
    struct pi_error err;
    (void)host;
    (void)arg;
    if (vm_port_check("127.0.0.1", 0, &err) < 0) {
        doctor_say(ret, DOCTOR_FAIL, "piagent cannot listen on 127.0.0.1: %s", err.text);
        doctor_mend(ret, "%sip link set lo up", doctor_sudo());
    } else if (vm_port_pick(NULL, NULL, &port, &err) < 0) {
        doctor_say(ret, DOCTOR_FAIL, "%s", err.text);
        doctor_mend(ret, "see which programs listen on them: ss -ltnp");
    } else {
        doctor_say(ret, DOCTOR_OK,
                   "piagent can listen on 127.0.0.1, and finds free ports for SSH (such as %u)", port);
    }
}

/* "43, 44" */
static int join_with_commas(const struct pi_strv *words, struct pi_buf *ret)
{
    int r = 0;
    for (size_t i = 0; i < words->count && r == 0; i++)
        r = pi_buf_printf(ret, "%s%s", i ? ", " : "", words->items[i]);
    return r;
}

static size_t known_releases(void)
{
    size_t count = 0;
    while (image_release_known(count))
        count++;
    return count;
}

/* Runs GnuPG as a fetch does, so this also shows that GnuPG works. */
void doctor_check_keys(const struct doctor_host *host, int arg, struct doctor_finding *ret)
{
    pi_auto_image_sources struct image_sources sources = {0};
    pi_auto_strv struct pi_strv here = {0};
    pi_auto_buf struct pi_buf releases = {0};
    struct image_meter meter = {0};
    struct pi_error err;
    (void)arg;
    if (!host->paths || image_sources_load(host->paths->config, &sources, NULL) < 0)
        return;
    if (image_signature_keys_here(&sources, &meter, &here, &err) < 0) {
        doctor_say(ret, DOCTOR_FAIL, "%s", err.text);
        doctor_mend_install(host, (struct vm_packages){"gpg", "gnupg2"}, ret);
    } else if (here.count == known_releases()) {
        doctor_say(ret, DOCTOR_OK, "this host has the keys of all known releases");
    } else if (join_with_commas(&here, &releases) == 0) {
        doctor_say(ret, DOCTOR_OK, "on this host: %s; piagent gets others from %s when it needs them",
                   releases.size ? releases.data : "none", sources.fedora_keys_url);
        doctor_mend(ret, "to need no network for the others, put their keys into %s", sources.keys_dir);
    }
}

void doctor_check_fedora(const struct doctor_host *host, int arg, struct doctor_finding *ret)
{
    pi_auto_image_sources struct image_sources sources = {0};
    struct pi_error err;
    (void)arg;
    if (host->offline || !host->paths || image_sources_load(host->paths->config, &sources, NULL) < 0)
        return;
    if (image_http_reach(sources.fedora_index_url, FEDORA_MS, &err) == 0) {
        doctor_say(ret, DOCTOR_OK, "%s answers", sources.fedora_index_url);
        return;
    }
    doctor_say(ret, DOCTOR_WARN, "%s", err.text);
    doctor_mend(ret, "stored images (piagent image ls) and local files (--image FILE) need no network");
}
