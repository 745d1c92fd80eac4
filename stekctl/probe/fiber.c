/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fibers (fiber.h), by ucontext.  Stacks are mapped, so that only touched pages cost memory, with a
 * page below that faults; those of ended fibers are used again.
 */
#include "fiber.h"

#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#define STACK_SIZE (256 * 1024)

struct probe_fiber_t {
    ucontext_t context, caller;
    unsigned char *stack; /* with its guard page */
    void (*run)(void *arg);
    void *arg;
    int has_ended;
    probe_fiber_t *next; /* in idle */
};

static probe_fiber_t *current, *idle;

probe_fiber_t *probe_fiber_current(void)
{
    return current;
}

static void begin(unsigned high, unsigned low)
{
    probe_fiber_t *fiber = (probe_fiber_t *)((uintptr_t)high << 32 | low);

    fiber->run(fiber->arg);
    fiber->has_ended = 1;
}

/* By itself, because a compiler takes getcontext for something that may return twice. */
static void take_context(ucontext_t *context)
{
    (void)getcontext(context);
}

static probe_fiber_t *make(void)
{
    size_t guard = (size_t)sysconf(_SC_PAGESIZE);
    probe_fiber_t *fiber = calloc(1, sizeof(*fiber));

    if (!fiber) {
        return NULL;
    }
    fiber->stack = mmap(NULL, STACK_SIZE + guard, PROT_READ | PROT_WRITE,
                        /* cppcheck-suppress invalidFunctionArg; -1 goes with MAP_ANONYMOUS */
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
    if (fiber->stack == MAP_FAILED) {
        free(fiber);
        return NULL;
    }
    if (mprotect(fiber->stack, guard, PROT_NONE) != 0) {
        munmap(fiber->stack, STACK_SIZE + guard);
        free(fiber);
        return NULL;
    }
    take_context(&fiber->context);
    fiber->context.uc_stack.ss_sp = fiber->stack + guard;
    fiber->context.uc_stack.ss_size = STACK_SIZE;
    return fiber;
}

int probe_fiber_start(void (*run)(void *arg), void *arg)
{
    probe_fiber_t *fiber = idle ? idle : make();

    if (!fiber) {
        return 0;
    }
    idle = fiber == idle ? fiber->next : idle;
    fiber->context.uc_link = &fiber->caller;
    fiber->run = run;
    fiber->arg = arg;
    fiber->has_ended = 0;
    /* makecontext passes ints. */
    makecontext(&fiber->context, (void (*)(void))begin, 2,
                (unsigned)((uint64_t)(uintptr_t)fiber >> 32), (unsigned)(uintptr_t)fiber);
    probe_fiber_continue(fiber);
    return 1;
}

void probe_fiber_pause(void)
{
    probe_fiber_t *fiber = current;

    (void)swapcontext(&fiber->context, &fiber->caller);
}

void probe_fiber_continue(probe_fiber_t *fiber)
{
    probe_fiber_t *caller = current;

    current = fiber;
    (void)swapcontext(&fiber->caller, &fiber->context);
    current = caller;
    if (fiber->has_ended) {
        fiber->next = idle;
        idle = fiber;
    }
}

void probe_fiber_free_all(void)
{
    while (idle) {
        probe_fiber_t *next = idle->next;

        munmap(idle->stack, STACK_SIZE + (size_t)sysconf(_SC_PAGESIZE));
        free(idle);
        idle = next;
    }
}
