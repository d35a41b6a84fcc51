/* The agent's own log: its standard error, which the command that starts it leads to a file. */
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "agent/base/auto.h"
#include "agent/base/text.h"
#include "agent/daemon/agent.h"

#define LOG_NAME "/agent.log"
#define LOG_MAX  (4 << 20)

/* Guests that reboot in a loop fill no disk: a full log becomes agent.log.1, in place of the one before.
 * Where standard error is something else (a journal, a terminal) it is not ours to turn over. */
static void turn_over(void)
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

void agent_log(const char *format, ...)
{
    char text[1200], clean[1200], when[32];
    struct tm tm;
    time_t now = time(NULL);
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    turn_over();
    strftime(when, sizeof when, "%F %T", localtime_r(&now, &tm));
    fprintf(stderr, "%s %s\n", when, pi_text_clean(text, strlen(text), clean, sizeof clean));
}
