/* SPDX-License-Identifier: MIT */
/* Runs a guest of a few instructions on KVM itself (linux/Documentation/virt/kvm/api.rst). */
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/base/auto.h"
#include "agent/base/clock.h"
#include "agent/doctor/check.h"

#define CODE_AT   0x1000u
#define CODE_SIZE 0x1000u
#define SIGN      '!'
#define EXITS_MAX 16

struct vcpu {
    int fd;
    struct kvm_run *run;
};

static int kvm_step_failed(const char *step, struct pi_error *err)
{
    return pi_fail(err, errno, "%s", step);
}

#if defined(__x86_64__)

#define PORT 0x217

/* mov $PORT,%dx; mov $SIGN,%al; out %al,(%dx); hlt: in real mode, as a processor starts. */
static const unsigned char code[] = {0xba, PORT & 0xff, PORT >> 8, 0xb0, SIGN, 0xee, 0xf4};

static int set_up(int vm, const struct vcpu *vcpu, struct pi_error *err)
{
    struct kvm_sregs sregs;
    struct kvm_regs regs = {.rip = CODE_AT, .rflags = 2};
    (void)vm;
    if (ioctl(vcpu->fd, KVM_GET_SREGS, &sregs) < 0)
        return kvm_step_failed("KVM_GET_SREGS", err);
    sregs.cs.base = 0;
    sregs.cs.selector = 0;
    if (ioctl(vcpu->fd, KVM_SET_SREGS, &sregs) < 0)
        return kvm_step_failed("KVM_SET_SREGS", err);
    return ioctl(vcpu->fd, KVM_SET_REGS, &regs) < 0 ? kvm_step_failed("KVM_SET_REGS", err) : 0;
}

static bool is_sign(const struct kvm_run *run)
{
    return run->exit_reason == KVM_EXIT_IO && run->io.port == PORT &&
           ((const char *)run)[run->io.data_offset] == SIGN;
}

#elif defined(__aarch64__)

#define NOWHERE 0x10000000u

/* movz x0, #0x1000, lsl #16; movz w1, #SIGN; str w1, [x0]: there is no memory at NOWHERE. */
static const uint32_t code[] = {0xd2a20000, 0x52800001 | SIGN << 5, 0xb9000001};

static int set_up(int vm, const struct vcpu *vcpu, struct pi_error *err)
{
    struct kvm_vcpu_init init;
    uint64_t pc = CODE_AT;
    const struct kvm_one_reg reg = {.id = KVM_REG_ARM64 | KVM_REG_SIZE_U64 | KVM_REG_ARM_CORE |
                                          KVM_REG_ARM_CORE_REG(regs.pc),
                                    .addr = (uintptr_t)&pc};
    if (ioctl(vm, KVM_ARM_PREFERRED_TARGET, &init) < 0)
        return kvm_step_failed("KVM_ARM_PREFERRED_TARGET", err);
    if (ioctl(vcpu->fd, KVM_ARM_VCPU_INIT, &init) < 0)
        return kvm_step_failed("KVM_ARM_VCPU_INIT", err);
    return ioctl(vcpu->fd, KVM_SET_ONE_REG, &reg) < 0 ? kvm_step_failed("KVM_SET_ONE_REG", err) : 0;
}

static bool is_sign(const struct kvm_run *run)
{
    return run->exit_reason == KVM_EXIT_MMIO && run->mmio.is_write && run->mmio.phys_addr == NOWHERE &&
           run->mmio.data[0] == SIGN;
}

#else

static const unsigned char code[] = {0};

static int set_up(int vm, const struct vcpu *vcpu, struct pi_error *err)
{
    (void)vm;
    (void)vcpu;
    return pi_refuse(err, PI_HOST, "piagent has no test guest for this architecture");
}

static bool is_sign(const struct kvm_run *run)
{
    (void)run;
    return false;
}

#endif

static int run_to_sign(const struct vcpu *vcpu, struct pi_error *err)
{
    for (int exits = 0; exits < EXITS_MAX; exits++) {
        if (ioctl(vcpu->fd, KVM_RUN, 0) < 0 && errno != EINTR)
            return kvm_step_failed("KVM_RUN", err);
        if (is_sign(vcpu->run))
            return 0;
        if (vcpu->run->exit_reason != KVM_EXIT_INTR)
            break;
    }
    return pi_refuse(err, PI_HOST, "KVM stopped the guest with exit reason %u", vcpu->run->exit_reason);
}

static int add_memory(int vm, struct pi_error *err)
{
    void *memory = mmap(NULL, CODE_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        return kvm_step_failed("memory", err);
    memcpy(memory, code, sizeof code);
    const struct kvm_userspace_memory_region region = {
        .guest_phys_addr = CODE_AT, .memory_size = CODE_SIZE, .userspace_addr = (uintptr_t)memory};
    return ioctl(vm, KVM_SET_USER_MEMORY_REGION, &region) < 0
               ? kvm_step_failed("KVM_SET_USER_MEMORY_REGION", err)
               : 0;
}

/* Releases nothing: the process ends after it. */
static int try_guest(const char *device, struct pi_error *err)
{
    int kvm = open(device, O_RDWR | O_CLOEXEC);
    if (kvm < 0)
        return kvm_step_failed("open", err);
    if (ioctl(kvm, KVM_GET_API_VERSION, 0) != KVM_API_VERSION)
        return pi_refuse(err, PI_HOST, "this is not KVM");
    int vm = ioctl(kvm, KVM_CREATE_VM, 0);
    if (vm < 0)
        return kvm_step_failed("KVM_CREATE_VM", err);
    int r = add_memory(vm, err);
    if (r < 0)
        return r;
    struct vcpu vcpu = {.fd = ioctl(vm, KVM_CREATE_VCPU, 0)};
    int size = ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
    if (vcpu.fd < 0 || size < (int)sizeof *vcpu.run)
        return kvm_step_failed("KVM_CREATE_VCPU", err);
    vcpu.run = mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu.fd, 0);
    if (vcpu.run == MAP_FAILED)
        return kvm_step_failed("the processor's state", err);
    r = set_up(vm, &vcpu, err);
    return r < 0 ? r : run_to_sign(&vcpu, err);
}

/* The child's error comes in one piece: it is smaller than PIPE_BUF. */
static int await_trial(int fd, unsigned timeout_ms, struct pi_error *err)
{
    struct pi_error said;
    struct pollfd readable = {.fd = fd, .events = POLLIN};
    uint64_t end = pi_monotonic_ms() + timeout_ms, now;
    int n = -1;
    while (n < 0 && (now = pi_monotonic_ms()) < end)
        if ((n = poll(&readable, 1, (int)(end - now))) < 0 && errno != EINTR)
            return kvm_step_failed("poll", err);
    if (n <= 0)
        return pi_refuse(err, PI_TIMEOUT, "the test guest still runs after %u ms", timeout_ms);
    if (read(fd, &said, sizeof said) != (ssize_t)sizeof said)
        return pi_refuse(err, PI_HOST, "the process that ran the test guest was killed");
    return said.kind == PI_OK ? 0 : pi_refuse(err, said.kind, "%.200s", said.text);
}

int doctor_kvm_trial(const char *device, unsigned timeout_ms, struct pi_error *err)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0)
        return kvm_step_failed("pipe", err);
    pi_auto_close int reader = ends[0], writer = ends[1];
    pid_t pid = fork();
    if (pid < 0)
        return kvm_step_failed("fork", err);
    if (pid == 0) {
        struct pi_error said = {.kind = PI_OK};
        int r = try_guest(device, &said);
        _exit(write(writer, &said, sizeof said) < 0 || r < 0);
    }
    close(pi_steal_fd(&writer));
    int r = await_trial(reader, timeout_ms, err);
    kill(pid, SIGKILL);
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        ;
    return r;
}
