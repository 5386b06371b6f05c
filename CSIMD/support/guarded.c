// A thread of its own for each guarded body. Giving up jumps back to where the thread began, past all frames of the body, and
// the thread ends: nothing of the caller's is on its stack, and what the runtime keeps for a thread (Swift's accesses under
// way) goes with it.
#include "internal.h"

#include <limits.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdlib.h>

typedef struct {
    void (*body)(void *context);
    void *context;
    csimd_thread_options options;
} guarded_run;

// Both NULL but within a guarded body.
static _Thread_local jmp_buf *start;
static _Thread_local void *guarded_context;

enum { stack_bytes = 16 << 20 };

static void *begin(void *argument) {
    const guarded_run *run = argument;
    jmp_buf here;
    csimd_set_thread_options(run->options);
    if (setjmp(here) == 0) {
        start = &here;
        guarded_context = run->context;
        run->body(run->context);
    }
    start = NULL;
    guarded_context = NULL;
    return NULL;
}

bool csimd_run_guarded(void (*body)(void *context), void *context) {
    guarded_run run = {body, context, csimd_get_thread_options()};
    pthread_attr_t attributes;
    if (pthread_attr_init(&attributes) != 0) return false;
    pthread_t thread;
    const bool begun =
        pthread_attr_setstacksize(&attributes, stack_bytes) == 0 && pthread_create(&thread, &attributes, begin, &run) == 0;
    pthread_attr_destroy(&attributes);
    if (begun) pthread_join(thread, NULL);
    return begun;
}

void *csimd_guarded_context(void) { return guarded_context; }

void csimd_give_up(void) {
    if (start == NULL) abort();
    longjmp(*start, 1);
}
