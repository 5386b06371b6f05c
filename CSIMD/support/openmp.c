// Looks at what OpenMP's runtime needs, mends what can be mended, and says what is done without, once, on standard error.
#define _GNU_SOURCE
#include "openmp.h"

#include "openmp_environment.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

static pthread_once_t look_once = PTHREAD_ONCE_INIT;
static char problem[320];  // why there is no OpenMP
static const char *advice = "Mount a writable tmpfs at /dev/shm";
static char warning[1280];  // what was printed
static atomic_int limit = csimd_most_threads;

static void explain(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void explain(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(problem, sizeof problem, format, arguments);
    va_end(arguments);
}

static void warn(const char *text) {
    char line[sizeof warning + 16];
    const int length = snprintf(line, sizeof line, "warning: %s.\n", text);
    if (length > 0 && write(STDERR_FILENO, line, (size_t)length) < 0) return;
}

#ifdef __linux__
// libomp leaves a note in shared memory, under a name of the process's own, and ends the process where it cannot.
enum { note_bytes = 1024 };
static const char cannot_share[] = "shared memory (/dev/shm) %s: %s";

// A note under this process's name is of a process that had its number before, in this or another container: libomp takes it
// for a second runtime unless the address that it names is not in use.
static bool remove_stale_note(void) {
    char name[64], text[note_bytes + 1] = "";
    snprintf(name, sizeof name, "/__KMP_REGISTERED_LIB_%d_%d", (int)getpid(), (int)getuid());
    const int file = shm_open(name, O_RDONLY, 0);
    if (file < 0 && errno == ENOENT) return true;
    if (file >= 0) {
        if (read(file, text, note_bytes) < 0) text[0] = 0;
        close(file);
        unsigned char resident;
        const uintptr_t address = (uintptr_t)strtoull(text, NULL, 16), page = (uintptr_t)sysconf(_SC_PAGESIZE);
        const bool is_alive = address != 0 && mincore((void *)(address / page * page), 1, &resident) == 0;
        if (is_alive) return true;
    }
    if (shm_unlink(name) == 0) return true;
    advice = "Remove it";
    explain("shared memory (/dev/shm) holds a file %s of another process: %s", name + 1, strerror(errno));
    return false;
}

static bool can_share_memory(void) {
    struct rlimit files;
    if (getrlimit(RLIMIT_FSIZE, &files) == 0 && files.rlim_cur < note_bytes) {
        advice = "Raise the limit of file sizes";
        explain("files may have %llu bytes (ulimit -f), and it needs one of %d", (unsigned long long)files.rlim_cur,
                note_bytes);
        return false;
    }
    char name[64];
    snprintf(name, sizeof name, "/needletail-%d-%d", (int)getpid(), (int)getuid());
    shm_unlink(name);
    const int file = shm_open(name, O_CREAT | O_EXCL | O_RDWR, 0600);
    if (file < 0) {
        explain(cannot_share, "cannot be written", strerror(errno));
        return false;
    }
    int failure = ftruncate(file, note_bytes) != 0 ? errno : posix_fallocate(file, 0, note_bytes);
    if (failure == 0) {
        void *note = mmap(NULL, note_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
        if (note == MAP_FAILED)
            failure = errno;
        else
            munmap(note, note_bytes);
    }
    close(file);
    shm_unlink(name);
    if (failure == 0) return remove_stale_note();
    explain(cannot_share, "has no room", strerror(failure));
    return false;
}
#else
static bool can_share_memory(void) { return true; }
#endif

static void look(void) {
    csimd_mend_openmp_environment(warning, sizeof warning);
    if (!can_share_memory()) {
        atomic_store(&limit, 1);
        const size_t used = strlen(warning);
        snprintf(warning + used, sizeof warning - used,
                 "%sOpenMP cannot be used, because %s; computing on one thread, with the same results. "
                 "%s to use all CPUs",
                 used ? ". " : "", problem, advice);
    }
    if (warning[0]) warn(warning);
}

int csimd_openmp_thread_limit(void) {
    pthread_once(&look_once, look);
    return atomic_load_explicit(&limit, memory_order_relaxed);
}

typedef struct {
    pthread_mutex_t lock;
} gate;

static void *wait_at_gate(void *argument) {
    gate *g = argument;
    pthread_mutex_lock(&g->lock);
    pthread_mutex_unlock(&g->lock);
    return NULL;
}

// How many threads can be had beside those that there are, up to `wanted`: all at once, with the stacks that workers have.
static int available_threads(int wanted, int *failure) {
    pthread_t threads[csimd_most_threads];
    gate g = {PTHREAD_MUTEX_INITIALIZER};
    pthread_attr_t attributes;
    *failure = pthread_attr_init(&attributes);
    if (*failure != 0) return 0;
    *failure = pthread_attr_setstacksize(&attributes, csimd_openmp_stack_bytes());
    pthread_mutex_lock(&g.lock);
    int made = 0;
    while (*failure == 0 && made < wanted) {
        *failure = pthread_create(&threads[made], &attributes, wait_at_gate, &g);
        if (*failure == 0) made++;
    }
    pthread_mutex_unlock(&g.lock);
    pthread_attr_destroy(&attributes);
    for (int i = 0; i < made; i++) pthread_join(threads[i], NULL);
    return made;
}

int csimd_openmp_secured_threads(int threads) {
    static _Thread_local int secured = 1;
    threads = (int)csimd_minimum((size_t)threads, (size_t)csimd_openmp_thread_limit());
    if (threads <= secured) return threads;
    int failure;
    const int had = secured + available_threads(threads - secured, &failure);
    if (had < threads && had < atomic_exchange(&limit, had)) {
        char text[320];
        snprintf(text, sizeof text,
                 "%d threads were wanted, and no more than %d can be had: %s; computing on %d, with the same results. Raise "
                 "the limit of processes (ulimit -u, the container's pids limit), or ask for fewer threads",
                 threads, had, strerror(failure), had);
        if (had == 1) snprintf(problem, sizeof problem, "threads cannot be made: %s", strerror(failure));
        warn(text);
    }
    secured = had;
    return had;
}

const char *csimd_openmp_problem(void) {
    csimd_openmp_thread_limit();
    return problem[0] ? problem : NULL;
}

const char *csimd_openmp_warning(void) {
    csimd_openmp_thread_limit();
    return warning[0] ? warning : NULL;
}
