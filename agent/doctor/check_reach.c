/* SPDX-License-Identifier: MIT */
/* What a guest is reached by, and where its image comes from. */
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
        doctor_say(ret, DOCTOR_FAIL, "no port of 127.0.0.1 can be listened at: %s", err.text);
        doctor_mend(ret, "%sip link set lo up", doctor_sudo());
    } else if (vm_port_pick(NULL, NULL, &port, &err) < 0) {
        doctor_say(ret, DOCTOR_FAIL, "%s", err.text);
        doctor_mend(ret, "ss -ltnp tells who has them");
    } else {
        doctor_say(ret, DOCTOR_OK, "127.0.0.1 can be listened at, and has free ones for SSH (such as %u)",
                   port);
    }
}

/* "43, 44" */
static int join(const struct pi_strv *words, struct pi_buf *ret)
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

/* Runs GnuPG as a fetch does: that it works is told by the way. */
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
        doctor_say(ret, DOCTOR_OK, "those of all known releases are on this host");
    } else if (join(&here, &releases) == 0) {
        doctor_say(ret, DOCTOR_OK, "on this host: %s; others come from %s when they are needed",
                   releases.size ? releases.data : "none", sources.fedora_keys_url);
        doctor_mend(ret, "to need no network for them: put the keys into %s", sources.keys_dir);
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
