/* SPDX-License-Identifier: MIT */
/* A guest of which nothing is heard any more, although its boot is not over (vm/silence.h): it is looked for
 * at its SSH port. If a server answers, the guest is up and its cloud-init does not report; or the reboot
 * that its cloud-init had announced does not come. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/base/auto.h"
#include "agent/base/clock.h"
#include "agent/instance/instance.h"
#include "agent/loop/log.h"
#include "agent/vm/silence.h"

#define BANNER_MS   20000u /* an emulated server is slow to say who it is */
#define LOOK_MIN_MS 1000u  /* between looks; twice as long each time, up to: */
#define LOOK_MAX_MS 60000u

static bool is_open(const struct instance *instance)
{
    const struct vm_record *record = &instance->record;
    return record->life.state == VM_RUNNING && !record->cloud_init_result[0] && !record->silence[0] &&
           !instance->stuck && !instance_has_panicked(instance);
}

static bool has_reported(const struct instance *instance)
{
    const uint64_t *reached = instance->boot.reached_ms;
    return instance->record.cloud_init_stage[0] || reached[VM_MILESTONE_NETWORK] ||
           reached[VM_MILESTONE_CONFIG] || reached[VM_MILESTONE_FINAL];
}

static struct vm_silence seen(const struct instance *instance)
{
    return (struct vm_silence){
        .console = &instance->landmarks,
        .missed = instance->record.boot_ms < instance->host->started_ms && !instance->heard_report,
        .seeded = instance->boot.reached_ms[VM_MILESTONE_SEED] != 0,
        .reported = has_reported(instance),
        .announced = instance->record.held_result[0] != '\0',
        .booted = instance->record.booted,
        .heard_ms = instance->heard_ms,
        .printed_ms = instance->printed_ms,
    };
}

static void drop_look(struct instance *instance)
{
    watch_free(pi_steal(instance->look_watch));
    pi_close_p(&instance->look_fd);
    instance->look_fd = -1;
}

void silence_stop(struct instance *instance)
{
    drop_look(instance);
    if (instance->silence_timer)
        timer_clear(instance->silence_timer);
}

static void tell(struct instance *instance)
{
    const struct vm_silence silence = seen(instance);
    struct vm_record *record = &instance->record;
    snprintf(record->silence, sizeof record->silence, "%s", vm_silence_cause(&silence));
    log_line("%s: its SSH server answers, and cloud-init did not report: %s", record->spec.name,
             record->silence);
    instance_expect_save(instance);
    journal_add(instance, &(struct api_event){.kind = API_EVENT_SILENT, .text = record->silence});
    instance_save(instance);
}

static void look_again(struct instance *instance)
{
    uint64_t delay_ms = instance->look_delay_ms ? instance->look_delay_ms : LOOK_MIN_MS;
    bool gives_up = instance->record.held_result[0] && is_open(instance) &&
                    pi_monotonic_ms() > instance->heard_ms + VM_NO_REBOOT_MS;
    drop_look(instance);
    instance->look_delay_ms = 2 * delay_ms < LOOK_MAX_MS ? 2 * delay_ms : LOOK_MAX_MS;
    if (gives_up)
        guest_stays(instance);
    else
        timer_set(instance->silence_timer, delay_ms);
}

static void on_answer(void *user)
{
    struct instance *instance = user;
    char said[4] = "";
    ssize_t n = recv(instance->look_fd, said, sizeof said, MSG_DONTWAIT);
    if (n != (ssize_t)sizeof said || memcmp(said, "SSH-", sizeof said) != 0 || !is_open(instance)) {
        look_again(instance);
        return;
    }
    silence_stop(instance);
    if (instance->record.held_result[0])
        guest_stays(instance);
    else
        tell(instance);
}

/* QEMU takes the connection before the guest does: only the server's own words count. */
static void look(struct instance *instance)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)instance->record.spec.ssh_port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    instance->look_fd = fd;
    if (fd < 0 || (connect(fd, (struct sockaddr *)&address, sizeof address) < 0 && errno != EINPROGRESS) ||
        !(instance->look_watch = watch_new(instance->host->loop, fd, on_answer, instance)))
        look_again(instance);
    else
        timer_set(instance->silence_timer, BANNER_MS);
}

static void on_timer(void *user)
{
    struct instance *instance = user;
    const struct vm_silence silence = seen(instance);
    uint64_t now = pi_monotonic_ms(), end = vm_silence_end_ms(&silence);
    if (instance->look_watch)
        look_again(instance);
    else if (vm_state_stands_still(instance->record.life.state))
        silence_begin(instance);
    else if (is_open(instance) && now < end)
        timer_set(instance->silence_timer, end - now);
    else if (is_open(instance))
        look(instance);
}

void silence_begin(struct instance *instance)
{
    instance->heard_ms = pi_monotonic_ms();
    instance->look_delay_ms = 0;
    drop_look(instance);
    if (!instance->silence_timer)
        instance->silence_timer = timer_new(instance->host->loop, on_timer, instance);
    if (instance->silence_timer)
        timer_set(instance->silence_timer, VM_SILENCE_MS);
}

void silence_over(struct instance *instance)
{
    silence_begin(instance);
    if (!instance->record.silence[0])
        return;
    instance->record.silence[0] = '\0';
    journal_note(instance, "its cloud-init goes on after all");
    instance_save(instance);
}
