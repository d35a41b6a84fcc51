/* SPDX-License-Identifier: MIT */
#include "agent/daemon/metrics.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "agent/api/exposition.h"
#include "agent/api/operations.h"
#include "agent/base/auto.h"
#include "agent/base/clock.h"
#include "agent/daemon/agent.h"
#include "agent/instance/instance.h"
#include "agent/vm/argv.h"

/* An instance, looked at once for all families. */
struct reading {
    const struct instance *instance;
    bool runs; /* usage is its QEMU's */
    struct pi_usage usage;
};

/* A metric of one instance; false: it has none now. */
typedef bool (*value_fn)(const struct reading *reading, double *ret);

static bool is_up(const struct reading *reading, double *ret)
{
    *ret = reading->runs;
    return true;
}

static bool cpu_seconds(const struct reading *reading, double *ret)
{
    *ret = reading->usage.cpu_s;
    return reading->runs;
}

static bool resident_bytes(const struct reading *reading, double *ret)
{
    *ret = (double)reading->usage.resident_bytes;
    return reading->runs;
}

static bool host_memory_bytes(const struct reading *reading, double *ret)
{
    *ret = (double)process_memory_bytes(reading->instance);
    return *ret > 0;
}

static bool memory_bytes(const struct reading *reading, double *ret)
{
    *ret = (double)(reading->instance->record.spec.memory_mib << 20);
    return true;
}

static bool memory_limit_bytes(const struct reading *reading, double *ret)
{
    *ret = (double)(reading->instance->record.spec.memory_max_mib << 20);
    return *ret > 0;
}

static bool vcpus(const struct reading *reading, double *ret)
{
    *ret = (double)reading->instance->record.spec.cpus;
    return true;
}

static bool disk_bytes(const struct reading *reading, double *ret)
{
    *ret = (double)reading->instance->record.spec.disk_bytes;
    return *ret > 0;
}

/* In blocks of 512 bytes (inode(7)). */
static bool disk_allocated_bytes(const struct reading *reading, double *ret)
{
    struct stat disk;
    if (fstatat(reading->instance->dir_fd, VM_DISK_FILE, &disk, AT_SYMLINK_NOFOLLOW) < 0)
        return false;
    *ret = (double)disk.st_blocks * 512;
    return true;
}

static bool start_time_seconds(const struct reading *reading, double *ret)
{
    *ret = (double)reading->instance->record.started_ms / 1000;
    return *ret > 0;
}

static bool boot_seconds(const struct reading *reading, double *ret)
{
    const struct vm_record *record = &reading->instance->record;
    *ret = ((double)record->ready_ms - (double)record->boot_ms) / 1000;
    return record->ready_ms && record->boot_ms && *ret >= 0;
}

static bool boots(const struct reading *reading, double *ret)
{
    *ret = (double)reading->instance->counts.boots;
    return true;
}

static bool console_bytes(const struct reading *reading, double *ret)
{
    *ret = (double)reading->instance->counts.console_bytes;
    return true;
}

static bool seed_requests(const struct reading *reading, double *ret)
{
    *ret = (double)reading->instance->counts.seed_requests;
    return true;
}

static bool reports(const struct reading *reading, double *ret)
{
    *ret = (double)reading->instance->counts.reports;
    return true;
}

static const struct instance_metric {
    const char *name, *type, *help;
    value_fn value;
} instance_metrics[] = {
    {"piagent_instance_up", "gauge", "Whether the instance's QEMU runs.", is_up},
    {"piagent_instance_cpu_seconds_total", "counter",
     "Processor time of the instance's QEMU since its start.", cpu_seconds},
    {"piagent_instance_resident_memory_bytes", "gauge",
     "Memory of the host that the instance's QEMU occupies.", resident_bytes},
    {"piagent_instance_host_memory_bytes", "gauge",
     "The same without what QEMU shares with other programs, and with its page tables.", host_memory_bytes},
    {"piagent_instance_memory_bytes", "gauge", "The guest's memory.", memory_bytes},
    {"piagent_instance_memory_limit_bytes", "gauge",
     "What the instance's QEMU as a whole may use (--memory-max); absent without a limit.",
     memory_limit_bytes},
    {"piagent_instance_vcpus", "gauge", "The guest's virtual CPUs.", vcpus},
    {"piagent_instance_disk_bytes", "gauge", "The size of the guest's disk.", disk_bytes},
    {"piagent_instance_disk_allocated_bytes", "gauge",
     "What the instance's own disk file occupies on the host, without the image.", disk_allocated_bytes},
    {"piagent_instance_start_time_seconds", "gauge", "When the instance was last started, since 1970.",
     start_time_seconds},
    {"piagent_instance_boot_duration_seconds", "gauge",
     "How long the newest boot took until it was ready; absent if it was not.", boot_seconds},
    {"piagent_instance_boots_total", "counter", "Boots of the guest that this agent has seen begin.", boots},
    {"piagent_instance_console_bytes_total", "counter",
     "Bytes of the guest's console that this agent has read.", console_bytes},
    {"piagent_instance_seed_requests_total", "counter",
     "Documents of its seed that the guest has fetched from this agent.", seed_requests},
    {"piagent_instance_reports_total", "counter", "Reports of the guest's cloud-init to this agent.",
     reports},
};

static int add_instance_metrics(const struct reading *readings, size_t count, struct pi_buf *ret)
{
    int r = 0;
    for (size_t m = 0; r == 0 && m < PI_ARRAY_SIZE(instance_metrics); m++) {
        const struct instance_metric *metric = &instance_metrics[m];
        r = api_metric_family(ret, metric->name, metric->type, metric->help);
        for (size_t i = 0; r == 0 && i < count; i++) {
            double value;
            const struct api_label labels[] = {{"name", readings[i].instance->record.spec.name}, {0}};
            if (metric->value(&readings[i], &value))
                r = api_metric_sample(ret, metric->name, labels, value);
        }
    }
    return r;
}

static int add_info(const struct reading *readings, size_t count, struct pi_buf *ret)
{
    static const char name[] = "piagent_instance_info";
    int r = api_metric_family(ret, name, "gauge", "1, with what the instance is.");
    for (size_t i = 0; r == 0 && i < count; i++) {
        const struct vm_record *record = &readings[i].instance->record;
        const struct vm_fleet *fleet = &record->spec.fleet;
        const struct api_label labels[] = {{"name", record->spec.name},
                                           {"fleet", fleet->name[0] ? fleet->name : NULL},
                                           {"role", fleet->name[0] ? fleet->role : NULL},
                                           {"arch", vm_arch_names[record->spec.arch]},
                                           {"accel", record->accel ? vm_accel_names[record->accel] : NULL},
                                           {"image", record->spec.image.name},
                                           {0}};
        r = api_metric_sample(ret, name, labels, 1);
    }
    return r;
}

static int add_states(const struct reading *readings, size_t count, struct pi_buf *ret)
{
    static const char name[] = "piagent_instance_state";
    int r =
        api_metric_family(ret, name, "gauge", "1 for the state that the instance is in, 0 for the others.");
    for (size_t i = 0; r == 0 && i < count; i++)
        for (int state = 0; r == 0 && state < VM_STATES; state++) {
            const struct vm_record *record = &readings[i].instance->record;
            const struct api_label labels[] = {
                {"name", record->spec.name}, {"state", vm_state_names[state]}, {0}};
            r = api_metric_sample(ret, name, labels, (int)record->life.state == state);
        }
    return r;
}

static int add_counts(const struct reading *readings, size_t count, struct pi_buf *ret)
{
    static const char name[] = "piagent_instances";
    unsigned of[VM_STATES] = {0};
    for (size_t i = 0; i < count; i++)
        of[readings[i].instance->record.life.state]++;
    int r = api_metric_family(ret, name, "gauge", "Instances in each state.");
    for (int state = 0; r == 0 && state < VM_STATES; state++) {
        const struct api_label labels[] = {{"state", vm_state_names[state]}, {0}};
        r = api_metric_sample(ret, name, labels, of[state]);
    }
    return r;
}

/* . and .. are no descriptors, and the folder's own one is closed again. */
static double open_descriptors(void)
{
    int count = -3;
    DIR *folder = opendir("/proc/self/fd");
    if (!folder)
        return 0;
    while (readdir(folder))
        count++;
    closedir(folder);
    return count;
}

static int add_one(const char *name, const char *type, const char *help, double value, struct pi_buf *ret)
{
    int r = api_metric_family(ret, name, type, help);
    return r == 0 ? api_metric_sample(ret, name, NULL, value) : r;
}

/* The names that every client library of Prometheus has for these. */
static int add_process(const struct agent *agent, struct pi_buf *ret)
{
    struct pi_usage usage = {0};
    struct rlimit files = {0};
    (void)pi_usage_read(getpid(), &usage);
    getrlimit(RLIMIT_NOFILE, &files);
    const struct {
        const char *name, *type, *help;
        double value;
    } all[] = {
        {"process_cpu_seconds_total", "counter", "The agent's processor time.", usage.cpu_s},
        {"process_resident_memory_bytes", "gauge", "The agent's memory.", (double)usage.resident_bytes},
        {"process_virtual_memory_bytes", "gauge", "The agent's address space.", (double)usage.virtual_bytes},
        {"process_start_time_seconds", "gauge", "The agent's start, since 1970.",
         (double)agent->host.started_ms / 1000},
        {"process_open_fds", "gauge", "Descriptors that the agent has open.", open_descriptors()},
        {"process_max_fds", "gauge", "Descriptors that the agent may have open.", (double)files.rlim_cur},
    };
    int r = 0;
    for (size_t i = 0; r == 0 && i < PI_ARRAY_SIZE(all); i++)
        r = add_one(all[i].name, all[i].type, all[i].help, all[i].value, ret);
    return r;
}

static int add_agent(const struct agent *agent, struct pi_buf *ret)
{
    static const char name[] = "piagent_build_info";
    const struct api_label labels[] = {{"version", PIAGENT_VERSION}, {0}};
    int r = api_metric_family(ret, name, "gauge", "1, with the agent's version.");
    if (r == 0)
        r = api_metric_sample(ret, name, labels, 1);
    return r < 0 ? r
                 : add_one("piagent_image_downloaded_bytes_total", "counter",
                           "Bytes of images that this agent has downloaded.",
                           (double)agent->host.downloaded_bytes, ret);
}

static int reading_by_name(const void *a, const void *b)
{
    const struct reading *one = a, *other = b;
    return strcmp(one->instance->record.spec.name, other->instance->record.spec.name);
}

/* The caller frees it. NULL without memory. */
static struct reading *take_readings(const struct agent *agent, size_t *ret_count)
{
    const struct instance *instance;
    size_t count = 0;
    LIST_FOREACH(instance, &agent->host.instances, entry)
        count++;
    struct reading *readings = calloc(count + 1, sizeof *readings);
    *ret_count = 0;
    if (!readings)
        return NULL;
    LIST_FOREACH(instance, &agent->host.instances, entry) {
        struct reading *reading = &readings[*ret_count];
        if (vm_life_is_gone(&instance->record.life))
            continue;
        reading->instance = instance;
        reading->runs = process_usage(instance, &reading->usage);
        ++*ret_count;
    }
    qsort(readings, *ret_count, sizeof *readings, reading_by_name);
    return readings;
}

static int render_metrics(const struct agent *agent, struct pi_buf *ret)
{
    size_t count;
    pi_auto_free struct reading *readings = take_readings(agent, &count);
    int r = readings ? add_agent(agent, ret) : -ENOMEM;
    if (r == 0)
        r = add_process(agent, ret);
    if (r == 0)
        r = add_counts(readings, count, ret);
    if (r == 0)
        r = add_info(readings, count, ret);
    if (r == 0)
        r = add_states(readings, count, ret);
    return r == 0 ? add_instance_metrics(readings, count, ret) : r;
}

int metrics_refresh(const struct agent *agent, uint64_t now_ms, struct metrics_page *page)
{
    pi_auto_buf struct pi_buf text = {0};
    if (page->text.size && now_ms - page->made_ms < METRICS_AGE_MS)
        return 0;
    int r = render_metrics(agent, &text);
    if (r < 0)
        return r;
    pi_buf_done(&page->text);
    *page = (struct metrics_page){text, now_ms};
    text = (struct pi_buf){0};
    return 0;
}

void metrics_reply_page(const struct agent *agent, struct metrics_page *page, struct api_call *call)
{
    pi_auto_buf struct pi_buf text = {0};
    struct pi_error err;
    int r = metrics_refresh(agent, pi_monotonic_ms(), page);
    if (r == 0)
        r = pi_buf_add(&text, page->text.data, page->text.size);
    if (r < 0) {
        pi_fail(&err, -r, "metrics");
        api_reply_error(call, &err);
    } else {
        api_reply_text(call, API_TYPE_METRICS, &text);
    }
}

void metrics_reply(struct agent *agent, struct api_call *call)
{
    struct metrics_page page = {0};
    metrics_reply_page(agent, &page, call);
    pi_buf_done(&page.text);
}
