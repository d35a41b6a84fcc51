/* SPDX-License-Identifier: MIT */
/* An instance whose parts find no memory: it is not there, and nothing of it is left. */
#include "memory_fixture.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/fs.h"
#include "agent/instance/instance.h"

static char folder[] = "/tmp/pi-unit-XXXXXX";

static int make_and_detach(struct instance_host *host, struct pi_error *err)
{
    struct vm_record record = {.schema = VM_RECORD_SCHEMA, .life.state = VM_CREATED};
    struct instance *instance = NULL;
    strcpy(record.spec.name, "pi-1");
    int r = instance_new(host, &record, &instance, err);
    memory_promise((r == 0) == !LIST_EMPTY(&host->instances));
    if (r == 0)
        instance_detach(instance);
    vm_record_done(&record);
    return r;
}

static int instance_is_made_or_not_there(struct pi_error *err)
{
    static const struct instance_listener listener = {0};
    uv_loop_t loop;
    if (uv_loop_init(&loop) < 0)
        return -ENOMEM;
    struct instance_host host = {.loop = &loop,
                                 .folder = folder,
                                 .runtime = folder,
                                 .images = folder,
                                 .folder_fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC),
                                 .seed_port_fd = -1,
                                 .listener = &listener};
    int r = make_and_detach(&host, err);
    close(host.folder_fd);
    uv_run(&loop, UV_RUN_NOWAIT);
    memory_promise(uv_loop_close(&loop) == 0);
    return r;
}

static void part_without_memory_leaves_nothing_behind(void **state)
{
    static const struct memory_operation operations[] = {
        MEMORY_OPERATION(instance_is_made_or_not_there, .own_only = true)};
    (void)state;
    memory_check(operations, 1);
}

static int setup(void **state)
{
    (void)state;
    if (!mkdtemp(folder))
        return -1;
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC), r = mkdirat(fd, "pi-1", 0700);
    close(fd);
    return r;
}

static int teardown(void **state)
{
    (void)state;
    return pi_tree_remove(AT_FDCWD, folder, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(part_without_memory_leaves_nothing_behind)};
    return cmocka_run_group_tests(tests, setup, teardown);
}
