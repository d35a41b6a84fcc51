/* SPDX-License-Identifier: MIT */
/*
 * Memory that runs out: an operation is repeated with each of its allocations failing in turn, once alone and
 * once with all that follow it. Included by the test_*_memory.c only: it puts an allocator of its own before
 * the C library's (or the sanitizer's), so that the libraries beneath fail as well.
 */
#ifndef TESTS_UNIT_MEMORY_FIXTURE_H
#define TESTS_UNIT_MEMORY_FIXTURE_H

#include <errno.h>
#include <link.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "agent/base/error.h"

/* Both sanitizers name what stands behind their malloc so, for programs that have one themselves. */
#if defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__
#define REAL(name) __interceptor_##name
#else
#define REAL(name) __libc_##name
#endif

void *REAL(malloc)(size_t size);
void *REAL(calloc)(size_t count, size_t size);
void *REAL(realloc)(void *old, size_t size);
void REAL(free)(void *p);

/* They run before a sanitizer is up. */
#define EARLY __attribute__((no_sanitize("address", "thread", "undefined")))

#define MEMORY_ALLOCATIONS_MAX 5000

struct memory_range {
    uintptr_t begin, end;
};

static struct {
    bool armed, all_after, refused;
    bool own_only;    /* calls from other code succeed */
    long until;       /* allocations that go well before the one that fails */
    long live;        /* that were not freed */
    pthread_t thread; /* whose allocations fail: a sanitizer needs memory for each new thread */
    struct memory_range program, libc;
} memory;

#define MEMORY_CALLER ((uintptr_t)__builtin_return_address(0))

EARLY static bool memory_is_within(const struct memory_range *range, uintptr_t at)
{
    return at >= range->begin && at < range->end;
}

EARLY static bool memory_refuses(uintptr_t caller)
{
    if (!memory.armed || !pthread_equal(memory.thread, pthread_self()))
        return false;
    if (memory.own_only && !memory_is_within(&memory.program, caller) &&
        !memory_is_within(&memory.libc, caller))
        return false;
    if (memory.until-- > 0 || (memory.refused && !memory.all_after))
        return false;
    memory.refused = true;
    errno = ENOMEM;
    return true;
}

EARLY static void *memory_count(void *p)
{
    __atomic_fetch_add(&memory.live, p != NULL, __ATOMIC_RELAXED);
    return p;
}

EARLY static void *memory_get(size_t size, uintptr_t caller)
{
    return memory_refuses(caller) ? NULL : memory_count(REAL(malloc)(size));
}

EARLY static void *memory_change(void *old, size_t size, uintptr_t caller)
{
    if (!old)
        return memory_get(size, caller);
    return memory_refuses(caller) ? NULL : REAL(realloc)(old, size);
}

EARLY static char *memory_copy(const char *text, size_t length, uintptr_t caller)
{
    char *copy = memory_get(length + 1, caller);
    if (copy) {
        memcpy(copy, text, length);
        copy[length] = '\0';
    }
    return copy;
}

EARLY void *malloc(size_t size)
{
    return memory_get(size, MEMORY_CALLER);
}

static void *memory_given(size_t size)
{
    return memory_count(REAL(malloc)(size));
}

EARLY void *calloc(size_t count, size_t size)
{
    return memory_refuses(MEMORY_CALLER) ? NULL : memory_count(REAL(calloc)(count, size));
}

EARLY void *realloc(void *old, size_t size)
{
    return memory_change(old, size, MEMORY_CALLER);
}

/* AddressSanitizer's own of these three don't call malloc. */
EARLY void *reallocarray(void *old, size_t count, size_t size)
{
    return memory_change(old, count * size, MEMORY_CALLER);
}

EARLY char *strndup(const char *text, size_t size)
{
    return memory_copy(text, strnlen(text, size), MEMORY_CALLER);
}

EARLY char *strdup(const char *text)
{
    return memory_copy(text, strlen(text), MEMORY_CALLER);
}

EARLY void free(void *p)
{
    __atomic_fetch_sub(&memory.live, p != NULL, __ATOMIC_RELAXED);
    REAL(free)(p);
}

/* The addresses of this program's code, and of the C library's, which allocates for it (asprintf,
 * opendir). */
static int memory_find_ranges(struct dl_phdr_info *info, size_t size, void *user)
{
    struct memory_range range = {UINTPTR_MAX, 0};
    (void)size, (void)user;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        uintptr_t begin = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr,
                  end = begin + info->dlpi_phdr[i].p_memsz;
        if (info->dlpi_phdr[i].p_type != PT_LOAD)
            continue;
        range.begin = begin < range.begin ? begin : range.begin;
        range.end = end > range.end ? end : range.end;
    }
    if (memory_is_within(&range, (uintptr_t)memory_given))
        memory.program = range;
    else if (memory_is_within(&range, (uintptr_t)dl_iterate_phdr))
        memory.libc = range;
    return 0;
}

/* An operation's promise while memory is short, checked without assertions, because these need memory. */
#define memory_promise(condition)            \
    do {                                     \
        bool kept_ = (condition);            \
        memory.armed &= kept_;               \
        if (!kept_)                          \
            fail_msg("not: %s", #condition); \
    } while (0)

/* Marks an output, and says whether it was left as it was. */
static inline void memory_mark(void *output, size_t size)
{
    memset(output, 0x5a, size);
}

static inline bool memory_untouched(const void *output, size_t size)
{
    const unsigned char *bytes = output;
    while (size && bytes[size - 1] == 0x5a)
        size--;
    return size == 0;
}

struct memory_operation {
    const char *name;
    /* 0 or -errno. Leaves nothing behind; promises whatever has to hold after either. Libraries can do
     * without some of their memory, so it may succeed. */
    int (*run)(struct pi_error *err);
    bool silent; /* it has no messages */
    bool parses; /* JSON: jansson itself gets its memory, as after pi_json_protect() */
    /* Only this program's own allocations fail, and those of the C library for it. For operations that take
     * long, and for libraries that report a lack of memory as something else, or not at all. */
    bool own_only;
    bool alone_only; /* each allocation fails once: it takes long */
};

#define MEMORY_OPERATION(function, ...)                 \
    {                                                   \
        .name = #function, .run = function, __VA_ARGS__ \
    }

/* Runs it with allocation n failing. True if there was such an allocation. */
static bool memory_fail(const struct memory_operation *operation, long n, bool all_after)
{
    struct pi_error err = {0};
    long before = memory.live;
    memory.thread = pthread_self();
    memory.until = n;
    memory.all_after = all_after;
    memory.refused = false;
    memory.own_only = operation->own_only;
    json_set_alloc_funcs(operation->parses ? memory_given : malloc, free);
    memory.armed = true;
    int r = operation->run(&err);
    memory.armed = false;
    const char *how = all_after ? "and all after it" : "alone";
    if (memory.live != before)
        fail_msg("%s, allocation %ld %s: %ld are left behind", operation->name, n, how, memory.live - before);
    if (!memory.refused && r != 0)
        fail_msg("%s fails with memory: %d, %s", operation->name, r, err.text);
    if (memory.refused && r != 0 && r != -ENOMEM)
        fail_msg("%s, allocation %ld %s: %d, %s", operation->name, n, how, r, err.text);
    if (r == -ENOMEM && !operation->silent && !strstr(err.text, strerror(ENOMEM)))
        fail_msg("%s, allocation %ld %s says: %s", operation->name, n, how, err.text);
    return memory.refused;
}

static void memory_check(const struct memory_operation *operations, size_t count)
{
    dl_iterate_phdr(memory_find_ranges, NULL);
    for (size_t i = 0; i < count; i++) {
        /* The first run lets libraries allocate what they keep. */
        struct pi_error err = {0};
        if (operations[i].run(&err) != 0)
            fail_msg("%s fails: %s", operations[i].name, err.text);
        long n = 0;
        while (memory_fail(&operations[i], n, false)) {
            if (!operations[i].alone_only)
                memory_fail(&operations[i], n, true);
            assert_in_range(++n, 1, MEMORY_ALLOCATIONS_MAX);
        }
        if (n == 0)
            fail_msg("%s needs no memory", operations[i].name);
    }
}

#endif
