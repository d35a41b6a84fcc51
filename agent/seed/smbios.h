/* SPDX-License-Identifier: MIT */
/* Tells the guest the address of its seed by the serial number in SMBIOS. QEMU reads the structure from a
 * file, so that the key in the address never stands in an argument vector. */
#ifndef PIAGENT_SEED_SMBIOS_H
#define PIAGENT_SEED_SMBIOS_H

#include <stddef.h>

#include "agent/base/buf.h"
#include "agent/base/error.h"

/* QEMU allows more, and sysfs a page. An address needs a tenth of this. */
#define SEED_SERIAL_MAX 1023

/*
 * "ds=nocloud;dsmode=net;s=URL": the one form that every cloud-init since 22.4 accepts. url is
 * http://HOST:PORT/KEY/ with the slash at its end (22.4 appends file names to it as it is). Refuses white
 * space, quotes and ';', because cloud-init would cut the address there.
 */
int seed_serial(const char *url, char ret[SEED_SERIAL_MAX + 1], struct pi_error *err);

/* A System Information structure. NULL or "" = not given. No string may be longer than SEED_SERIAL_MAX. */
struct seed_system {
    const char *manufacturer, *product, *version, *serial, *sku, *family;
    const char *uuid; /* 36 characters; the same as QEMU's -uuid */
};

/* Appends the structure in its binary form (DSP0134 3.6, sections 6.1.3 and 7.2, the form since 2.4), for
 * QEMU's -smbios file=. QEMU then refuses any "-smbios type=1,...". */
int seed_smbios_system(const struct seed_system *system, struct pi_buf *ret, struct pi_error *err);

/* The same for a Baseboard structure (section 7.3) with that serial number and asset tag. Linux shows the serial number to root
 * alone (/sys/class/dmi/id/board_serial). cloud-init does not read it. (It does read the system's serial number,
 * and copies that into files that everyone may read.) The asset tag is a line of meta-data, of which all may know
 * (documents.h): SEED_ASSET_TAG and the instance-id. */
#define SEED_ASSET_TAG "instance-id: "
int seed_smbios_board(const char *serial, const char *asset_tag, struct pi_buf *ret, struct pi_error *err);

#endif
