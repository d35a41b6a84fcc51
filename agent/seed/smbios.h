/* SPDX-License-Identifier: MIT */
/* How the guest learns where its seed is: by the SMBIOS serial, in a structure that QEMU reads from a file,
 * so that the key in the address never stands in an argument vector. */
#ifndef PIAGENT_SEED_SMBIOS_H
#define PIAGENT_SEED_SMBIOS_H

#include <stddef.h>

#include "agent/base/buf.h"
#include "agent/base/error.h"

/* QEMU carries more, and sysfs a page; an address needs a tenth of it. */
#define SEED_SERIAL_MAX 1023

/*
 * "ds=nocloud;dsmode=net;s=URL": the one form that every cloud-init from 22.4 takes. url is
 * http://HOST:PORT/KEY/ with the slash at its end (22.4 joins file names to it as it is). White space, quotes
 * and ';' are refused: cloud-init would cut there.
 */
int seed_serial(const char *url, char ret[SEED_SERIAL_MAX + 1], struct pi_error *err);

/* A System Information structure. NULL or "" = not given. No string may be longer than SEED_SERIAL_MAX. */
struct seed_system {
    const char *manufacturer, *product, *version, *serial, *sku, *family;
    const char *uuid; /* 36 characters; the same as QEMU's -uuid */
};

/* Appends it as SMBIOS has it in memory (DSP0134 3.6, sections 6.1.3 and 7.2, the form since 2.4), for QEMU's
 * -smbios file=. With this, QEMU refuses any "-smbios type=1,..." beside it. */
int seed_smbios_system(const struct seed_system *system, struct pi_buf *ret, struct pi_error *err);

/* The same for a Baseboard structure (section 7.3) with that serial number. Linux shows it to root alone
 * (/sys/class/dmi/id/board_serial), and cloud-init, which copies the system's serial number into files that
 * everyone may read, does not look at it. */
int seed_smbios_board(const char *serial, struct pi_buf *ret, struct pi_error *err);

#endif
