/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is done (resume.h).
 */
#include "resume.h"

#include <apr_hash.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FIRST_LINE "stek-hosts 1\n"
#define LINE_SIZE 8192
#define LINES_MAX 100000000

static apr_uint32_t hash_of(const char *host)
{
    apr_ssize_t len = (apr_ssize_t)strlen(host);

    return apr_hashfunc_default(host, &len) | 1U;
}

static int set_done(probe_resume_t *resume, int line_n, apr_uint32_t hash)
{
    if (line_n >= resume->size) {
        int size = line_n + line_n / 2 + 1024;
        apr_uint32_t *done = realloc(resume->done, (size_t)size * sizeof(*done));

        if (!done) {
            return 0;
        }
        memset(done + resume->size, 0, (size_t)(size - resume->size) * sizeof(*done));
        resume->done = done;
        resume->size = size;
    }
    resume->done_n += !resume->done[line_n];
    resume->done[line_n] = hash;
    return 1;
}

/* Up to the last whole line, where writing goes on. */
static apr_status_t read_done(probe_resume_t *resume)
{
    char line[LINE_SIZE], *host;
    off_t end = 0;

    while (fgets(line, sizeof(line), resume->file)) {
        apr_size_t len = strlen(line);
        long line_n;

        if (len == 0 || line[len - 1] != '\n') {
            break;
        }
        if (end == 0 && strcmp(line, FIRST_LINE) != 0) {
            return APR_EINVAL;
        }
        if (end > 0) {
            line[len - 1] = '\0';
            line_n = strtol(line, &host, 10);
            if (line_n < 1 || line_n > LINES_MAX || *host != ' '
                || !set_done(resume, (int)line_n, hash_of(host + 1))) {
                return APR_EINVAL;
            }
        }
        end = ftello(resume->file);
    }
    if (end == 0) {
        /* Whatever it is, it is not ours. */
        if (ftello(resume->file) != 0) {
            return APR_EINVAL;
        }
        return fputs(FIRST_LINE, resume->file) < 0 ? APR_FROM_OS_ERROR(errno) : APR_SUCCESS;
    }
    return ftruncate(fileno(resume->file), end) == 0 && fseeko(resume->file, end, SEEK_SET) == 0
               ? APR_SUCCESS
               : APR_FROM_OS_ERROR(errno);
}

apr_status_t probe_resume_open(probe_resume_t *resume, const char *path)
{
    apr_status_t rv;

    memset(resume, 0, sizeof(*resume));
    resume->file = fopen(path, "r+e");
    if (!resume->file && errno == ENOENT) {
        resume->file = fopen(path, "w+xe");
    }
    if (!resume->file) {
        return APR_FROM_OS_ERROR(errno);
    }
    rv = read_done(resume);
    if (rv == APR_SUCCESS && fflush(resume->file) != 0) {
        rv = APR_FROM_OS_ERROR(errno);
    }
    return rv;
}

int probe_resume_is_done(const probe_resume_t *resume, int line_n, const char *host)
{
    if (line_n >= resume->size || !resume->done[line_n]) {
        return 0;
    }
    return resume->done[line_n] == hash_of(host) ? 1 : -1;
}

apr_status_t probe_resume_add(probe_resume_t *resume, int line_n, const char *host)
{
    fprintf(resume->file, "%d %s\n", line_n, host);
    return fflush(resume->file) == 0 ? APR_SUCCESS : APR_FROM_OS_ERROR(errno);
}

void probe_resume_close(probe_resume_t *resume)
{
    if (resume->file) {
        fclose(resume->file);
    }
    free(resume->done);
}
