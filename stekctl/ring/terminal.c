/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The terminal (terminal.h).  Signal handlers only set a flag.  Signals are blocked except during
 * ppoll, so none is missed between checking the flag and waiting.  stekctl; one thread.
 */
#include "terminal.h"

#include <errno.h>
#include <langinfo.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#define ENTER "\033[?1049h\033[?25l"
#define LEAVE "\033[?25h\033[?1049l"

static struct termios saved;
static int entered, has_saved;
static sigset_t outside_mask;
static volatile sig_atomic_t to_end, to_stop;

void terminal_look(terminal_t *terminal)
{
    const char *no_colour = getenv("NO_COLOR"); /* NOLINT(concurrency-mt-unsafe): one thread */
    const char *term = getenv("TERM");          /* NOLINT(concurrency-mt-unsafe): one thread */
    struct winsize size;

    terminal->is_tty = isatty(STDOUT_FILENO);
    terminal->colour = terminal->is_tty && !(no_colour && *no_colour) && term
                       && strcmp(term, "dumb") != 0;
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): one thread */
    terminal->unicode = !strcmp(nl_langinfo(CODESET), "UTF-8");
    terminal->columns = 80;
    terminal->rows = 24;
    if (terminal->is_tty && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) {
        terminal->columns = size.ws_col;
        terminal->rows = size.ws_row;
    }
}

static int put(const char *text)
{
    size_t len = strlen(text);

    while (len > 0) {
        ssize_t n = write(STDOUT_FILENO, text, len);

        if (n < 0 && errno != EINTR) {
            return -1;
        }
        if (n > 0) {
            text += n;
            len -= (size_t)n;
        }
    }
    return 0;
}

static void on_signal(int number)
{
    if (number == SIGTSTP) {
        to_stop = 1;
    }
    else if (number != SIGWINCH && number != SIGCONT) {
        to_end = 1;
    }
}

static int screen_on(void)
{
    struct termios quiet;

    has_saved = tcgetattr(STDIN_FILENO, &saved) == 0;
    if (has_saved) {
        quiet = saved;
        quiet.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
        (void)tcsetattr(STDIN_FILENO, TCSADRAIN, &quiet);
    }
    entered = 1;
    return put(ENTER);
}

void terminal_leave(void)
{
    if (!entered) {
        return;
    }
    entered = 0;
    (void)put(LEAVE);
    if (has_saved) {
        (void)tcsetattr(STDIN_FILENO, TCSADRAIN, &saved);
    }
}

int terminal_enter(void)
{
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP, SIGWINCH, SIGCONT};
    struct sigaction action;
    sigset_t mask;
    size_t i;

    memset(&action, 0, sizeof(action));
    action.sa_handler = on_signal;
    sigemptyset(&action.sa_mask);
    sigemptyset(&mask);
    for (i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        sigaddset(&mask, numbers[i]);
        (void)sigaction(numbers[i], &action, NULL);
    }
    (void)sigprocmask(SIG_BLOCK, &mask, &outside_mask);
    (void)atexit(terminal_leave);
    return screen_on();
}

int terminal_wait(int ms)
{
    struct timespec timeout = {ms / 1000, (long)(ms % 1000) * 1000000};
    struct pollfd poll_in = {STDIN_FILENO, POLLIN, 0};
    char key = 0;
    int n;

    n = ppoll(&poll_in, has_saved ? 1 : 0, &timeout, &outside_mask);
    if (n > 0 && read(STDIN_FILENO, &key, 1) != 1) {
        return 1;
    }
    if (to_stop) {
        to_stop = 0;
        terminal_leave();
        (void)raise(SIGSTOP);
        return screen_on() != 0 || to_end;
    }
    return to_end || key == 'q' || key == 'Q';
}

int terminal_draw(const char *text, int rows)
{
    char *screen;
    size_t len;
    FILE *out = open_memstream(&screen, &len);
    int row, failed;

    if (!out) {
        return -1;
    }
    fputs("\033[H", out);
    for (row = 0; *text && row < rows; row++) {
        size_t line_len = strcspn(text, "\n");

        if (row > 0) {
            fputs("\r\n", out);
        }
        fwrite(text, 1, line_len, out);
        fputs("\033[K", out);
        text += line_len + (text[line_len] ? 1 : 0);
    }
    fputs("\033[J", out);
    if (fclose(out) != 0) {
        return -1;
    }
    failed = put(screen);
    free(screen);
    return failed;
}
