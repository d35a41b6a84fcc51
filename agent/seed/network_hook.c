/* SPDX-License-Identifier: MIT */
#include "agent/seed/network_hook.h"

/* Most are called with NAME MAC ADDRESS GATEWAY, and own_name with HOSTNAME NAME ADDRESS. Routes of a bridge's DHCP come after those of the first interface. */
static const char functions[] =
    "#!/bin/sh\n"
    "changed= plain=\n"
    "active() { systemctl is-active --quiet \"$1\" 2>/dev/null; }\n"
    "put() {\n"
    "    mkdir -p \"${1%/*}\"\n"
    "    [ \"$(cat \"$1\" 2>/dev/null)\" = \"$3\" ] && return\n"
    "    (umask 077; echo \"$3\" >\"$1\"; chmod \"$2\" \"$1\")\n"
    "    changed=1\n"
    "}\n"
    "card() {\n"
    "    for file in /sys/class/net/*/address; do\n"
    "        read -r mac <\"$file\" && [ \"$mac\" = \"$1\" ] && file=${file%/*} && echo \"${file##*/}\" && return\n"
    "    done\n"
    "    return 1\n"
    "}\n"
    "networkd() {\n"
    "    echo '[Match]'; echo \"MACAddress=$2\"; echo '[Network]'\n"
    "    if [ \"$3\" ]; then\n"
    "        echo \"Address=$3\"; echo \"DNS=$4\"; echo \"Domains=$1.internal\"; echo DNSDefaultRoute=no\n"
    "        echo LinkLocalAddressing=no; echo IPv6AcceptRA=no\n"
    "    else\n"
    "        echo DHCP=ipv4; echo '[DHCPv4]'; echo RouteMetric=2048\n"
    "    fi\n"
    "}\n"
    "manager() {\n"
    "    echo '[connection]'; echo \"id=piagent-$1\"; echo type=ethernet\n"
    "    echo '[ethernet]'; echo \"mac-address=$2\"; echo '[ipv4]'\n"
    "    if [ \"$3\" ]; then\n"
    "        echo method=manual; echo \"address1=$3\"; echo never-default=true\n"
    "        echo \"dns=$4;\"; echo \"dns-search=$1.internal;\"; echo dns-priority=10\n"
    "        echo '[ipv6]'; echo method=disabled\n"
    "    else\n"
    "        echo method=auto; echo route-metric=2048\n"
    "    fi\n"
    "}\n"
    "resolv_conf() {\n"
    "    plain=1\n"
    "    grep -qsx \"nameserver $2\" /etc/resolv.conf && return\n"
    "    search=$(sed -n 's/^\\(search\\|domain\\) //p' /etc/resolv.conf | tail -n 1)\n"
    "    rest=$(grep -vE '^(search|domain) ' /etc/resolv.conf)\n"
    "    printf '%s\\n' \"search $1.internal $search\" \"nameserver $2\" \"$rest\" >/etc/resolv.conf\n"
    "}\n"
    "by_hand() {\n"
    "    dev=$(card \"$2\") && [ \"$3\" ] || return\n"
    "    if command -v ifup >/dev/null; then\n"
    "        put \"/etc/network/interfaces.d/piagent-$1\" 644 \"auto $dev\n"
    "iface $dev inet static\n"
    "    address $3\"\n"
    "    fi\n"
    "    ip link set \"$dev\" up; ip address replace \"$3\" dev \"$dev\"\n"
    "}\n"
    "own_name() {\n"
    "    words=\"[[:space:]]+$1(\\\\.[^[:space:]]*)?([[:space:]]|\\$)\"\n"
    "    hosts=$(sed -E -e '/ # piagent$/d' -e \"/^(127\\\\.|::1[[:space:]])/{\" -e :again -e \"s/$words/\\\\2/\" -e 't again' \\\n"
    "        -e '/^[^[:space:]]+[[:space:]]*$/d' -e '}' /etc/hosts 2>/dev/null\n"
    "        echo \"${3%/*} $1.$2.internal $1 # piagent\")\n"
    "    [ \"$(cat /etc/hosts 2>/dev/null)\" = \"$hosts\" ] || echo \"$hosts\" >/etc/hosts\n"
    "}\n"
    "join() {\n"
    "    if active systemd-networkd; then\n"
    "        put \"/etc/systemd/network/10-piagent-$1.network\" 644 \"$(networkd \"$@\")\"\n"
    "    elif active NetworkManager; then\n"
    "        put \"/etc/NetworkManager/system-connections/piagent-$1.nmconnection\" 600 \"$(manager \"$@\")\"\n"
    "    else\n"
    "        by_hand \"$@\"\n"
    "    fi\n"
    "    [ \"$4\" ] && ! active systemd-resolved && ! active NetworkManager && resolv_conf \"$1\" \"$4\"\n"
    "}\n";

/* A DHCP client writes resolv.conf anew with each lease: this script then runs again. Nothing here may wait for D-Bus, as
 * systemd-run does: D-Bus starts after sysinit.target, and that may wait for this script. */
static const char apply[] =
    "if [ \"$plain\" ] && [ -d /run/systemd/system ] && ! active piagent-names.path; then\n"
    "    printf '%s\\n' '[Path]' PathChanged=/etc/resolv.conf >/run/systemd/system/piagent-names.path\n"
    "    printf '%s\\n' '[Service]' Type=oneshot \"ExecStart=/bin/sh $0\" >/run/systemd/system/piagent-names.service\n"
    "    systemctl --no-block start piagent-names.path\n"
    "fi\n"
    "if [ ! \"$changed\" ]; then\n"
    "    :\n"
    "elif active systemd-networkd; then\n"
    "    networkctl reload 2>/dev/null || systemctl restart systemd-networkd\n" /* no D-Bus yet: as cloud-init does */
    "elif active NetworkManager; then\n"
    "    for file in /etc/NetworkManager/system-connections/piagent-*.nmconnection; do\n"
    "        nmcli connection load \"$file\" && file=${file##*/} && nmcli --wait 10 connection up \"${file%.nmconnection}\"\n"
    "    done\n"
    "fi\n"
    "exit 0\n";

const struct seed_network *seed_network_of_name(const struct seed_network *networks, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (*networks[i].address)
            return &networks[i];
    return NULL;
}

int seed_network_hook(const char *hostname, const struct seed_network *networks, size_t count,
                      struct pi_buf *ret)
{
    const struct seed_network *own = seed_network_of_name(networks, count);
    int r = pi_buf_puts(ret, functions);
    if (r == 0 && own)
        r = pi_buf_printf(ret, "own_name %s %s %s\n", hostname, own->name, own->address);
    for (size_t i = 0; r == 0 && i < count; i++)
        r = pi_buf_printf(ret, "join %s %s \"%s\" \"%s\"\n", networks[i].name, networks[i].mac,
                          networks[i].address, networks[i].gateway);
    return r < 0 ? r : pi_buf_puts(ret, apply);
}
