/* SPDX-License-Identifier: MIT */
#include "agent/loop/log.h"

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "agent/base/auto.h"
#include "agent/base/fs.h"
#include "agent/base/text.h"

#define LOG_NAME "/agent.log"
#define LOG_MAX  (4 << 20)

/* Guests that reboot in a loop must not fill the disk: a full log becomes agent.log.1, and replaces the one
 * before. If standard error is something else (a journal, a terminal), it is left alone. */
static void turn_log_over(void)
{
    struct stat st;
    char path[PATH_MAX - 4], old[PATH_MAX];
    if (fstat(STDERR_FILENO, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size < LOG_MAX)
        return;
    ssize_t n = readlink("/proc/self/fd/2", path, sizeof path - 1);
    path[n > 0 ? n : 0] = '\0';
    snprintf(old, sizeof old, "%s.1", path);
    if (!pi_ends_with(path, LOG_NAME) || rename(path, old) < 0)
        return;
    pi_auto_close int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd >= 0) {
        dup2(fd, STDOUT_FILENO);
        dup2(fd, STDERR_FILENO);
    }
}

/* If nobody reads standard error, a full pipe would hold up the agent, and with it every instance: a line
 * that finds no room is lost. If poll(2) says that there is room, PIPE_BUF bytes fit (pipe(7)). */
static void put_line(const char *line, size_t size)
{
    struct pollfd out = {.fd = STDERR_FILENO, .events = POLLOUT};
    if (poll(&out, 1, 0) > 0 && (out.revents & POLLOUT))
        (void)pi_write_all(STDERR_FILENO, line, size);
}

void log_line(const char *format, ...)
{
    char text[1200], clean[1200], when[32], line[1280];
    struct tm tm;
    time_t now = time(NULL);
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    turn_log_over();
    strftime(when, sizeof when, "%F %T", localtime_r(&now, &tm));
    int size =
        snprintf(line, sizeof line, "%s %s\n", when, pi_text_clean(text, strlen(text), clean, sizeof clean));
    put_line(line, (size_t)size);
}
