/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "imds/route.h"

#define KEY "0123456789abcdef0123456789abcdef"

static void each_known_request_has_its_route(void **state)
{
    static const struct {
        const char *method, *path;
        enum imds_target target;
        enum imds_document document;
        bool head;
    } cases[] = {
        {"GET", "/" KEY "/meta-data", IMDS_ROUTE_DOCUMENT, IMDS_META_DATA, false},
        {"GET", "/" KEY "/user-data", IMDS_ROUTE_DOCUMENT, IMDS_USER_DATA, false},
        {"GET", "/" KEY "/vendor-data", IMDS_ROUTE_DOCUMENT, IMDS_VENDOR_DATA, false},
        {"GET", "/" KEY "/network-config", IMDS_ROUTE_DOCUMENT, IMDS_NETWORK_CONFIG, false},
        {"GET", "/" KEY "/peers", IMDS_ROUTE_DOCUMENT, IMDS_PEERS, false},
        {"HEAD", "/" KEY "/user-data", IMDS_ROUTE_DOCUMENT, IMDS_USER_DATA, true},
        {"POST", "/" KEY "/events", IMDS_ROUTE_EVENTS, IMDS_META_DATA, false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct imds_route route;
        imds_route_parse(cases[i].method, cases[i].path, &route);
        assert_int_equal(route.target, cases[i].target);
        assert_int_equal(route.document, cases[i].document);
        assert_int_equal(route.head, cases[i].head);
        assert_string_equal(route.key, KEY);
    }
}

static void everything_else_leads_nowhere(void **state)
{
    static const char *const cases[][2] = {
        {"GET", ""},
        {"GET", "/"},
        {"GET", "*"},
        {"GET", "/" KEY},
        {"GET", "/" KEY "/"},
        {"GET", KEY "/meta-data"},
        {"GET", "//" KEY "/meta-data"},
        {"GET", "/" KEY "//meta-data"},
        {"GET", "/" KEY "/meta-data/"},
        {"GET", "/" KEY "/meta-data2"},
        {"GET", "/" KEY "/meta-dat"},
        {"GET", "/" KEY "/META-DATA"},
        {"GET", "/" KEY "/../" KEY "/meta-data"},
        {"GET", "/" KEY "meta-data"},
        {"GET", "/" KEY "0/meta-data"},
        {"GET", "/0123456789abcdef0123456789abcde/meta-data"},
        {"GET", "/0123456789ABCDEF0123456789ABCDEF/meta-data"},
        {"GET", "/0123456789abcdef/meta-data"},
        {"GET", "http://127.0.0.1/" KEY "/meta-data"},
        {"GET", "/" KEY "/events"},
        {"HEAD", "/" KEY "/events"},
        {"POST", "/" KEY "/meta-data"},
        {"POST", "/" KEY "/events/"},
        {"PUT", "/" KEY "/user-data"},
        {"PUT", "/" KEY "/events"},
        {"DELETE", "/" KEY "/user-data"},
        {"OPTIONS", "/" KEY "/user-data"},
        {"get", "/" KEY "/meta-data"},
        {"", "/" KEY "/meta-data"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct imds_route route;
        memset(&route, 0xff, sizeof(route));
        imds_route_parse(cases[i][0], cases[i][1], &route);
        assert_int_equal(route.target, IMDS_ROUTE_NONE);
        assert_string_equal(route.key, "");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_known_request_has_its_route),
        cmocka_unit_test(everything_else_leads_nowhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
