/* SPDX-License-Identifier: MIT */
/* The output of real consoles, and the landmarks in it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "agent/base/auto.h"
#include "agent/base/buf.h"
#include "agent/vm/landmark.h"

/* "kernel: THE LINE\n" for each. */
static void note(enum vm_landmark landmark, const char *line, size_t length, void *user)
{
    assert_int_equal(strlen(line), length);
    pi_buf_printf(user, "%s: %.20s\n", vm_landmark_names[landmark], line);
}

static void feed(struct vm_landmarks *landmarks, const char *bytes, size_t size, size_t piece,
                 struct pi_buf *found)
{
    for (size_t at = 0; at < size; at += piece)
        vm_landmarks_feed(landmarks, bytes + at, size - at < piece ? size - at : piece, note, found);
}

static void what_real_guests_print_is_recognised(void **state)
{
    static const struct {
        const char *name, *said, *found;
    } cases[] = {
        {"SeaBIOS on x86_64, syslinux, Debian 13",
         "SeaBIOS (version 1.16.2-debian-1.16.2-1)\r\nBooting from Hard Disk...\r\n"
         "\r\nSYSLINUX 6.04 20210613 Copyright (C) 1994-2015 H. Peter Anvin et al\r\nLoading /vmlinuz... ok\r\n"
         "[    0.000000] Linux version 6.12.118+deb13-amd64 (debian-kernel@lists.debian.org)\r\n"
         "[    6.740477] systemd[1]: Inserted module 'autofs4'\r\n\033[!p\033]104\007\033[?7h"
         "[    7.049184] systemd[1]: systemd 257.13-1~deb13u1 running in system mode (+PAM)\r\n"
         "\r\n\033[0;1;39mWelcome to \033[0m\033[1mDebian GNU/Linux 13 (trixie)\033[0m!\r\n"
         "\033[32766;32766H\033[6n\r\r\nDebian GNU/Linux 13 web ttyS0\r\n\r\nweb login: [   52.7] cloud-init",
         "firmware: SeaBIOS (version 1.1\n"
         "bootloader: SYSLINUX 6.04 202106\n"
         "kernel: [    0.000000] Linux\n"
         "init: [    6.740477] syste\n"
         "login: web login: \n"},
        {"EDK2 on aarch64, systemd-boot, the kernel's EFI stub",
         "UEFI firmware (version 2022.11-6+deb12u2 built at 11:19:34 on Apr  8 2025)\r\n"
         "\033[2J\033[01;01H\033[=3h\033[2J\033[01;01HBdsDxe: loading Boot0001 \"UEFI Misc Device\"\r\n"
         "BdsDxe: starting Boot0001 \"UEFI Misc Device\"\r\nEFI stub: Booting Linux Kernel...\r\n"
         "EFI stub: Exiting boot services...\r\n"
         "[    0.000000] Booting Linux on physical CPU 0x0000000000 [0x411fd070]\r\n"
         "[    0.000000] Linux version 6.12.43+deb13-arm64\r\n",
         "firmware: UEFI firmware (versi\nkernel: EFI stub: Booting Li\n"},
        {"Fedora's GRUB under EDK2: it draws",
         "\033[2J\033[01;01HBdsDxe: starting Boot0003 \"Fedora\" from HD(2,GPT)/\\EFI\\fedora\\shimx64.efi\r\n"
         "\033[2J\033[04;30HGNU GRUB  version 2.12\033[06;02H+----+\033[08;04H*Fedora Linux (6.17.1-300.fc43)"
         "\033[2J\033[01;01H  Booting `Fedora Linux (6.17.1-300.fc43.x86_64) 43 (Cloud Edition)'\r\n\r\n"
         "[    0.000000] Linux version 6.17.1-300.fc43.x86_64 (mockbuild@fedora)\r\n"
         "\r\nWelcome to \033[0;38;2;60;110;180mFedora Linux 43 (Cloud Edition) dracut-107\033[0m!\r\n\r\n"
         "[\033[0;32m  OK  \033[0m] Reached target \033[0;1;39mcryptsetup.target\033[0m.\r\n"
         "Welcome to \033[0;38;2;60;110;180mFedora Linux 43 (Cloud Edition)\033[0m!\r\n"
         "Fedora Linux 43 (Cloud Edition)\r\nKernel 6.17.1-300.fc43.x86_64 on x86_64 (ttyS0)\r\n\r\nweb login: ",
         "firmware: BdsDxe: starting Boo\nbootloader: GNU GRUB  version 2.\n"
         "kernel: [    0.000000] Linux\n"
         "init: Welcome to Fedora Li\nlogin: web login: \n"},
        {"GRUB on a BIOS, and a quiet kernel",
         "Booting from Hard Disk...\r\nGRUB loading.\r\nWelcome to GRUB!\r\n\r\n\033[?25h\033[H\033[J"
         "\033[1;1HLoading Linux 6.1.0-37-amd64 ...\r\n[\033[0;32m  OK  \033[0m] Started udevd\r\n",
         "firmware: Booting from Hard Di\nbootloader: GRUB loading.\ninit: [  OK  ] Started ude\n"},
        {"a kernel that was already under way",
         "[   12.345678] virtio_net virtio0 ens3: renamed from eth0\n[12.3] no stamp\n",
         "kernel: [   12.345678] virti\n"},
        {"only forwards",
         "Welcome to Debian!\nLinux version 6\nGRUB \nSeaBIOS\nWelcome to GRUB!\nweb login: \nWelcome to x\n",
         "init: Welcome to Debian!\nlogin: web login: \n"},
        {"nothing that is one", "login: x\nthe Linux version is\nLast words\n a GRUB\nEFI\n[  0.000] x\n",
         NULL},
        {"an unclosed string ends with its line", "\033]0;title\nLinux version 6\n",
         "kernel: Linux version 6\n"},
    };
    (void)state;
    for (size_t i = 0; i < PI_ARRAY_SIZE(cases); i++) {
        static const size_t pieces[] = {4096, 1, 7};
        for (size_t k = 0; k < PI_ARRAY_SIZE(pieces); k++) {
            struct vm_landmarks landmarks = {0};
            pi_auto_buf struct pi_buf found = {0};
            feed(&landmarks, cases[i].said, strlen(cases[i].said), pieces[k], &found);
            if (strcmp(found.data ? found.data : "", cases[i].found ? cases[i].found : "") != 0)
                fail_msg("%s, in pieces of %zu:\n%s", cases[i].name, pieces[k], found.data);
        }
    }
}

static void what_a_boot_gets_stuck_at_is_recognised_until_it_goes_on(void **state)
{
    static const struct {
        const char *name, *said;
        enum vm_trouble trouble;
        const char *words;
    } cases[] = {
        {"SeaBIOS without a disk",
         "\033c\033[?7l\033[2J\033[0mSeaBIOS (version 1.16.2-debian-1.16.2-1)\r\nBooting from Hard Disk...\r\n"
         "Boot failed: not a bootable disk\r\n\nNo bootable device.\r\n",
         VM_TROUBLE_NO_BOOT_DEVICE, "No bootable device."},
        {"EDK2 without a shell", "BdsDxe: No bootable option or device was found.\r\n",
         VM_TROUBLE_NO_BOOT_DEVICE, "BdsDxe: No bootable option or device was found."},
        {"EDK2 with one",
         "BdsDxe: starting Boot0002 \"EFI Internal Shell\" from Fv(7C)\r\n\033[01;01HUEFI Interactive Shell v2.2\r\n"
         "\033[08;01H\033[1m\033[33mShell> \033[0m",
         VM_TROUBLE_UEFI_SHELL, "UEFI Interactive Shell v2.2"},
        {"GRUB without its files",
         "GRUB loading.\r\nerror: no such partition.\r\nEntering rescue mode...\r\ngrub rescue> ",
         VM_TROUBLE_BOOTLOADER, "grub rescue> "},
        {"GRUB without a configuration", "\033[2;1HMinimal BASH-like line editing\033[5;1Hgrub> ",
         VM_TROUBLE_BOOTLOADER, "grub> "},
        {"a panic without a root device",
         "[    1.2] List of all bdev filesystems:\r\n[    1.234567] Kernel panic - not syncing: VFS: Unable to mount root fs on "
         "unknown-block(0,0)\r\n[    1.234999] ---[ end Kernel panic - not syncing: VFS: Unable to mount root fs ]---\r\n",
         VM_TROUBLE_PANIC, "VFS: Unable to mount root fs on unknown-block(0,0)"},
        {"without time stamps", "Kernel panic - not syncing: Attempted to kill init!\n", VM_TROUBLE_PANIC,
         "Attempted to kill init!"},
        {"a panic that an oops led to",
         "[    5.000001] Oops: int3: 0000 [#1] PREEMPT SMP NOPTI\n[    5.000002] Kernel panic - not syncing: Fatal exception\n",
         VM_TROUBLE_PANIC, "Fatal exception"},
        {"an older kernel's oops", "[   21.375425] int3: 0000 [#1] PREEMPT SMP NOPTI\n", VM_TROUBLE_INT3,
         "int3: 0000 [#1] PREEMPT SMP NOPTI"},
        {"dracut",
         "\r\nGenerating \"/run/initramfs/rdsosreport.txt\"\r\nEntering emergency mode. Exit the shell to continue.\r\n:/# ",
         VM_TROUBLE_SHELL, "Entering emergency mode. Exit the shell to continue."},
        {"initramfs-tools", "ALERT!  /dev/vda9 does not exist.  Dropping to a shell!\r\n(initramfs) ",
         VM_TROUBLE_SHELL, "ALERT!  /dev/vda9 does not exist.  Dropping to a shell!"},
        {"systemd", "You are in emergency mode. After logging in, type \"journalctl -xb\"\r\n",
         VM_TROUBLE_SHELL, "You are in emergency mode. After logging in, type \"journalctl -xb\""},
        {"a halt", "[   99.000001] reboot: System halted\n", VM_TROUBLE_HALTED, "reboot: System halted"},
        {"a script's words",
         "[   52.7] cloud-init[324]: Kernel panic - not syncing: x\n# grub rescue> \necho (initramfs) \nNo bootable drive.\n"
         "it said Oops: int3: 0000\nxShell> \n",
         VM_TROUBLE_NONE, ""},
        {"a boot that goes on after all", "grub> \nLinux version 6\n", VM_TROUBLE_NONE, ""},
        {"the next boot", "Kernel panic - not syncing: x\nSeaBIOS (version 1)\n", VM_TROUBLE_NONE, ""},
    };
    (void)state;
    for (size_t i = 0; i < PI_ARRAY_SIZE(cases); i++) {
        struct vm_landmarks landmarks = {0};
        pi_auto_buf struct pi_buf found = {0};
        feed(&landmarks, cases[i].said, strlen(cases[i].said), i % 2 ? 1 : 4096, &found);
        if (landmarks.trouble != cases[i].trouble ||
            (landmarks.trouble && strcmp(landmarks.words, cases[i].words) != 0))
            fail_msg("%s: %d, '%s'", cases[i].name, landmarks.trouble, landmarks.words);
        assert_int_equal(landmarks.int3, strstr(cases[i].name, "oops") != NULL);
        assert_non_null(vm_trouble_texts[landmarks.trouble]);
    }
}

static void why_cloud_init_is_silent_is_recognised(void **state)
{
    static const struct {
        const char *said;
        bool full, died;
    } cases[] = {
        {"[   21.3] cloud-init[301]: OSError: [Errno 28] No space left on device\r\n", true, false},
        {"[\033[0;1;31mFAILED\033[0m] Failed to start \033[0;1;39mcloud-init.service\033[0m - Initial cloud-init job.\r\n",
         false, true},
        {"[FAILED] Failed to start Apply the settings specified in cloud-config.\r\n", false, true},
        {"[FAILED] Failed to start Cloud-init: Network Stage.\r\n", false, true},
        {"[FAILED] Failed to start Execute cloud user/final scripts.\r\n", false, true},
        {"[FAILED] Failed to start google-cloud-ops-agent.service.\r\n", false, false},
        {"[FAILED] Failed to start apt-daily.service.\r\n[  OK  ] Finished cloud-init.service.\r\n", false,
         false},
    };
    (void)state;
    for (size_t i = 0; i < PI_ARRAY_SIZE(cases); i++) {
        struct vm_landmarks landmarks = {0};
        pi_auto_buf struct pi_buf found = {0};
        feed(&landmarks, cases[i].said, strlen(cases[i].said), 1, &found);
        assert_int_equal(landmarks.disk_full, cases[i].full);
        assert_int_equal(landmarks.cloud_init_died, cases[i].died);
    }
}

static void an_endless_line_is_its_beginning(void **state)
{
    struct vm_landmarks landmarks = {0};
    pi_auto_buf struct pi_buf found = {0};
    (void)state;
    for (size_t i = 0; i < 10000; i++)
        feed(&landmarks, "Linux version ", 14, 14, &found);
    assert_int_equal(found.size, 0);
    assert_int_equal(landmarks.used, VM_LANDMARK_LINE - 1);
    feed(&landmarks, "\n", 1, 1, &found);
    assert_int_equal(landmarks.reached, VM_LANDMARK_KERNEL);
    assert_int_equal(landmarks.used, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_real_guests_print_is_recognised),
        cmocka_unit_test(what_a_boot_gets_stuck_at_is_recognised_until_it_goes_on),
        cmocka_unit_test(why_cloud_init_is_silent_is_recognised),
        cmocka_unit_test(an_endless_line_is_its_beginning),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
