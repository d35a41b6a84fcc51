/* SPDX-License-Identifier: MIT */
#include "agent/switch/resolver.h"

#include <arpa/inet.h>
#include <ldns/ldns.h>
#include <net/if_arp.h>
#include <netinet/if_ether.h>
#include <netinet/ip.h>
#include <netinet/ip_icmp.h>
#include <netinet/udp.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "agent/base/auto.h"
#include "agent/switch/dhcp.h"

#define DNS_PORT     53
#define DNS_SIZE_MAX 512 /* RFC 1035, 4.2.1: every client takes it, and no client's question is longer */

static void fill_header(const struct resolver *resolver, const uint8_t *frame, uint8_t *reply)
{
    memcpy(reply, frame + FRAME_MAC_SIZE, FRAME_MAC_SIZE);
    memcpy(reply + FRAME_MAC_SIZE, resolver->self.mac, FRAME_MAC_SIZE);
    memcpy(reply + 2 * FRAME_MAC_SIZE, frame + 2 * FRAME_MAC_SIZE, 2);
}

static size_t answer_arp(const struct resolver *resolver, const uint8_t *frame, uint8_t *reply)
{
    struct ether_arp arp;
    memcpy(&arp, frame + FRAME_HEADER_SIZE, sizeof arp);
    if (arp.arp_op != htons(ARPOP_REQUEST) ||
        memcmp(arp.arp_tpa, &resolver->self.address, sizeof arp.arp_tpa) != 0)
        return 0;
    arp.arp_op = htons(ARPOP_REPLY);
    memcpy(arp.arp_tha, arp.arp_sha, sizeof arp.arp_tha);
    memcpy(arp.arp_tpa, arp.arp_spa, sizeof arp.arp_tpa);
    memcpy(arp.arp_sha, resolver->self.mac, sizeof arp.arp_sha);
    memcpy(arp.arp_spa, &resolver->self.address, sizeof arp.arp_spa);
    fill_header(resolver, frame, reply);
    memcpy(reply + FRAME_HEADER_SIZE, &arp, sizeof arp);
    return FRAME_HEADER_SIZE + sizeof arp;
}

/* RFC 1071 */
static uint32_t add_words(uint32_t sum, const void *bytes, size_t size)
{
    const uint8_t *byte = bytes;
    for (size_t i = 0; i + 1 < size; i += 2)
        sum += (uint32_t)(byte[i] << 8 | byte[i + 1]);
    if (size % 2)
        sum += (uint32_t)byte[size - 1] << 8;
    return sum;
}

static uint16_t to_checksum(uint32_t sum)
{
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return htons((uint16_t)~sum);
}

/* Puts the header of an answer before a payload that is there already. */
static size_t finish_ip(const struct resolver *resolver, const uint8_t *frame, uint8_t protocol,
                        struct in_addr to, size_t payload, uint8_t *reply)
{
    struct iphdr ip = {.version = 4,
                       .ihl = sizeof ip / 4,
                       .tot_len = htons((uint16_t)(sizeof ip + payload)),
                       .ttl = 64,
                       .protocol = protocol,
                       .saddr = resolver->self.address.s_addr,
                       .daddr = to.s_addr};
    ip.check = to_checksum(add_words(0, &ip, sizeof ip));
    fill_header(resolver, frame, reply);
    memcpy(reply + FRAME_HEADER_SIZE, &ip, sizeof ip);
    return FRAME_HEADER_SIZE + sizeof ip + payload;
}

static size_t answer_ping(const uint8_t *payload, size_t size, uint8_t *reply)
{
    struct icmphdr icmp;
    if (size < sizeof icmp || payload[0] != ICMP_ECHO)
        return 0;
    memcpy(reply, payload, size);
    memcpy(&icmp, payload, sizeof icmp);
    icmp.type = ICMP_ECHOREPLY;
    icmp.checksum = 0;
    memcpy(reply, &icmp, sizeof icmp);
    icmp.checksum = to_checksum(add_words(0, reply, size));
    memcpy(reply, &icmp, sizeof icmp);
    return size;
}

/* Cuts this network's domain off a name that is asked for. False if the name is of another domain. */
static bool cut_domain(const struct resolver *resolver, char *text)
{
    size_t size = strlen(text), domain = strlen(resolver->domain);
    if (size > 0 && text[size - 1] == '.')
        text[--size] = '\0';
    if (size > domain + 1 && text[size - domain - 1] == '.' &&
        strcasecmp(text + size - domain, resolver->domain) == 0)
        text[size - domain - 1] = '\0';
    else if (strcasecmp(text, resolver->domain) == 0)
        *text = '\0';
    else if (strchr(text, '.'))
        return false;
    return true;
}

static const struct resolver_name *find_name(const struct resolver *resolver, const char *label)
{
    for (size_t i = 0; i < resolver->count; i++)
        if (strcasecmp(resolver->names[i].name, label) == 0)
            return &resolver->names[i];
    return NULL;
}

/* 4.3.2.1.in-addr.arpa */
static bool parse_reverse(const char *text, struct in_addr *ret)
{
    unsigned a, b, c, d;
    int end = 0;
    if (sscanf(text, "%3u.%3u.%3u.%3u.in-addr.arpa%n", &d, &c, &b, &a, &end) != 4 || end == 0 ||
        (text[end] && strcmp(text + end, ".") != 0) || a > 255 || b > 255 || c > 255 || d > 255)
        return false;
    ret->s_addr = htonl(a << 24 | b << 16 | c << 8 | d);
    return true;
}

static void push_answer(ldns_pkt *answer, const ldns_rr *question, ldns_rdf *data)
{
    ldns_rr *rr = ldns_rr_new();
    ldns_rr_set_owner(rr, ldns_rdf_clone(ldns_rr_owner(question)));
    ldns_rr_set_type(rr, ldns_rr_get_type(question));
    ldns_rr_set_class(rr, LDNS_RR_CLASS_IN);
    ldns_rr_set_ttl(rr, RESOLVER_TTL_S);
    ldns_rr_push_rdf(rr, data);
    ldns_pkt_push_rr(answer, LDNS_SECTION_ANSWER, rr);
}

static ldns_pkt_rcode answer_reverse(const struct resolver *resolver, const ldns_rr *question,
                                     struct in_addr address, ldns_pkt *answer)
{
    char name[sizeof resolver->names[0].name + sizeof resolver->domain + 2];
    for (size_t i = 0; i < resolver->count; i++)
        if (resolver->names[i].address.s_addr == address.s_addr &&
            ldns_rr_get_type(question) == LDNS_RR_TYPE_PTR) {
            snprintf(name, sizeof name, "%s.%s.", resolver->names[i].name, resolver->domain);
            push_answer(answer, question, ldns_dname_new_frm_str(name)); /* control.c has checked both */
            return LDNS_RCODE_NOERROR;
        }
    return LDNS_RCODE_REFUSED;
}

static ldns_pkt_rcode answer_question(const struct resolver *resolver, const ldns_rr *question,
                                      ldns_pkt *answer)
{
    pi_auto_free char *text = ldns_rdf2str(ldns_rr_owner(question));
    const struct resolver_name *known;
    struct in_addr address;
    if (!text || ldns_rr_get_class(question) != LDNS_RR_CLASS_IN)
        return LDNS_RCODE_REFUSED;
    if (parse_reverse(text, &address))
        return answer_reverse(resolver, question, address, answer);
    if (strcmp(text, ".") == 0 || !cut_domain(resolver, text))
        return LDNS_RCODE_REFUSED;
    if (!*text) /* the domain itself */
        return LDNS_RCODE_NOERROR;
    if (!(known = find_name(resolver, text)))
        return LDNS_RCODE_NXDOMAIN;
    if (ldns_rr_get_type(question) == LDNS_RR_TYPE_A)
        push_answer(answer, question,
                    ldns_rdf_new_frm_data(LDNS_RDF_TYPE_A, sizeof known->address, &known->address));
    return LDNS_RCODE_NOERROR;
}

static size_t render_answer(const struct resolver *resolver, ldns_pkt *asked, uint8_t *reply)
{
    ldns_pkt *answer = ldns_pkt_new();
    ldns_rr *question = ldns_rr_list_rr(ldns_pkt_question(asked), 0);
    pi_auto_free uint8_t *wire = NULL;
    size_t size = 0;
    ldns_pkt_set_id(answer, ldns_pkt_id(asked));
    ldns_pkt_set_qr(answer, true);
    ldns_pkt_set_aa(answer, true);
    ldns_pkt_set_rd(answer, ldns_pkt_rd(asked));
    ldns_pkt_push_rr(answer, LDNS_SECTION_QUESTION, ldns_rr_clone(question));
    ldns_pkt_set_rcode(answer, answer_question(resolver, question, answer));
    if (ldns_pkt2wire(&wire, answer, &size) != LDNS_STATUS_OK || size > DNS_SIZE_MAX)
        size = 0;
    else
        memcpy(reply, wire, size);
    ldns_pkt_free(answer);
    return size;
}

/* Whether the header says: one question, and nothing else except perhaps an OPT (RFC 6891). Only then ldns reads the rest. It
 * takes milliseconds for a long query whose many names are chains of pointers. */
static bool is_plain_query(const uint8_t *query, size_t size)
{
    return size >= LDNS_HEADER_SIZE && size <= DNS_SIZE_MAX && !LDNS_QR_WIRE(query) &&
           LDNS_OPCODE_WIRE(query) == LDNS_PACKET_QUERY && LDNS_QDCOUNT(query) == 1 &&
           LDNS_ANCOUNT(query) == 0 && LDNS_NSCOUNT(query) == 0 && LDNS_ARCOUNT(query) <= 1;
}

static size_t answer_dns(const struct resolver *resolver, const uint8_t *query, size_t size, uint8_t *reply)
{
    ldns_pkt *asked;
    if (!is_plain_query(query, size) || ldns_wire2pkt(&asked, query, size) != LDNS_STATUS_OK)
        return 0;
    if (ldns_rr_list_rr_count(ldns_pkt_additional(asked)) == 0) /* an OPT is not in it */
        size = render_answer(resolver, asked, reply);
    else
        size = 0;
    ldns_pkt_free(asked);
    return size;
}

/* UDP over IPv4 may leave its checksum out (RFC 768). DHCP says itself where its answer goes. */
static size_t answer_udp(const struct resolver *resolver, const struct frame_owner *from,
                         const uint8_t *payload, size_t size, uint8_t *reply, struct in_addr *to)
{
    struct udphdr udp;
    if (size < sizeof udp)
        return 0;
    memcpy(&udp, payload, sizeof udp);
    size_t length = ntohs(udp.len), answer = 0;
    if (length < sizeof udp || length > size)
        return 0;
    const uint8_t *data = payload + sizeof udp;
    if (udp.dest == htons(DNS_PORT))
        answer = answer_dns(resolver, data, length - sizeof udp, reply + sizeof udp);
    else if (udp.dest == htons(DHCP_SERVER_PORT))
        answer = dhcp_answer(resolver, from, data, length - sizeof udp, reply + sizeof udp, to);
    if (answer == 0)
        return 0;
    udp = (struct udphdr){
        .source = udp.dest, .dest = udp.source, .len = htons((uint16_t)(sizeof udp + answer))};
    memcpy(reply, &udp, sizeof udp);
    return sizeof udp + answer;
}

static size_t answer_ip(const struct resolver *resolver, const struct frame_owner *from, const uint8_t *frame,
                        size_t size, uint8_t *reply)
{
    struct iphdr ip;
    struct in_addr to = from->address;
    uint8_t *payload = reply + FRAME_HEADER_SIZE + sizeof ip;
    memcpy(&ip, frame + FRAME_HEADER_SIZE, sizeof ip);
    size_t header = (size_t)ip.ihl * 4, total = ntohs(ip.tot_len), answer = 0;
    if ((ip.daddr != resolver->self.address.s_addr && !frame_is_dhcp(frame, size)) ||
        (ip.frag_off & htons(IP_MF | IP_OFFMASK)) || header < sizeof ip || total < header ||
        total > size - FRAME_HEADER_SIZE)
        return 0;
    if (ip.protocol == IPPROTO_ICMP && header == sizeof ip)
        answer = answer_ping(frame + FRAME_HEADER_SIZE + header, total - header, payload);
    else if (ip.protocol == IPPROTO_UDP)
        answer = answer_udp(resolver, from, frame + FRAME_HEADER_SIZE + header, total - header, payload, &to);
    return answer ? finish_ip(resolver, frame, ip.protocol, to, answer, reply) : 0;
}

size_t resolver_answer(const struct resolver *resolver, const struct frame_owner *from, const uint8_t *frame,
                       size_t size, uint8_t *reply)
{
    return frame_type(frame) == FRAME_ARP ? answer_arp(resolver, frame, reply)
                                          : answer_ip(resolver, from, frame, size, reply);
}
