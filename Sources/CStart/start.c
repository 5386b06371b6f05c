// OpenBLAS makes its threads when it is loaded, before main, and ends the process (SIGINT) where the system refuses one. This
// runs before the constructors of libraries: where so many threads cannot be had, the program starts again with
// OPENBLAS_NUM_THREADS=1. Standard streams that are closed are opened first of all. Only executables have functions that run so
// early, which is why this is the command's and not the library's.
#define _GNU_SOURCE
#include "include/CStart.h"

#include "standard_streams.h"

#ifdef __linux__
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

int start_allowed_cpus(void) {
    cpu_set_t mask;
    return sched_getaffinity(0, sizeof mask, &mask) == 0 ? CPU_COUNT(&mask) : 0;
}

enum { most_threads = 127 };  // beside the first one: OpenBLAS's own limit is about that

static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;

static void *wait_at_gate(void *unused) {
    pthread_mutex_lock(&gate);
    pthread_mutex_unlock(&gate);
    return unused;
}

// Whether `wanted` threads can be had at once.
static bool can_have_threads(int wanted) {
    pthread_t threads[most_threads];
    int made = 0;
    pthread_mutex_lock(&gate);
    while (made < wanted && pthread_create(&threads[made], NULL, wait_at_gate, NULL) == 0) made++;
    pthread_mutex_unlock(&gate);
    for (int i = 0; i < made; i++) pthread_join(threads[i], NULL);
    return made == wanted;
}

// Whether the process may have the memory that so many threads of OpenBLAS take: each asks for a buffer of 128 MiB again and
// again where it gets none, and the process's end waits for it.
static bool can_have_buffers(int threads) {
    const rlim_t each = (rlim_t)256 << 20;
    const int kinds[] = {RLIMIT_AS, RLIMIT_DATA};
    for (int i = 0; i < 2; i++) {
        struct rlimit limit;
        if (getrlimit(kinds[i], &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) continue;
        if (limit.rlim_cur / each < (rlim_t)threads + 2) return false;
    }
    return true;
}

static void begin(int count, char **arguments, char **environment) {
    standard_streams_open();  // before anything can open a file
    static char variable[] = "OPENBLAS_NUM_THREADS=1";
    const size_t name = strlen("OPENBLAS_NUM_THREADS=");
    int entries = 0;
    while (environment[entries] != NULL)
        if (strncmp(environment[entries++], variable, name) == 0) return;
    const int wanted = start_allowed_cpus() - 1;
    if (count < 1 || wanted < 0) return;
    if (can_have_buffers(wanted) && can_have_threads(wanted < most_threads ? wanted : most_threads)) return;
    char **changed = malloc(((size_t)entries + 2) * sizeof *changed);
    if (changed == NULL) return;
    memcpy(changed, environment, (size_t)entries * sizeof *changed);
    changed[entries] = variable;
    changed[entries + 1] = NULL;
    execve("/proc/self/exe", arguments, changed);
    free(changed);
}

__attribute__((section(".preinit_array"), used)) static void (*const before_libraries)(int, char **, char **) = begin;
#else
int start_allowed_cpus(void) { return 0; }
#endif
