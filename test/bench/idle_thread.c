/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Preloaded: gives a process a second thread that does nothing.  What a server costs more with it is
 * what glibc does once there are two: locks in malloc and stdio, and cancellation around system calls.
 */
#include <pthread.h>
#include <unistd.h>

static void *idle(void *data)
{
    for (;;) {
        pause();
    }
    return data;
}

__attribute__((constructor)) static void begin(void)
{
    pthread_t thread;

    pthread_create(&thread, NULL, idle, NULL);
}
