// libomp 14 fails on values that it should refuse: an empty OMP_NUM_THREADS is an assertion, "abc" and "-1" leave an array
// unwritten (an abort or millions of threads, by chance), a stack beyond the memory is a fatal error, KMP_GTID_MODE=1 a
// segmentation fault. So each variable that has been seen to end a process has its grammar here, any other KMP_ variable must
// be a small number or a Boolean, and what does not match is taken out before libomp reads it.
#define _GNU_SOURCE
#include "openmp_environment.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

extern char **environ;

typedef enum {
    counts,   // numbers of [low, high] with commas between them
    words,    // words of `words` with commas between them
    size,     // a number and perhaps B, K, M, G or T; `low` and `high` in bytes
    setting,  // a Boolean or a number of [low, high]
    places,   // one of `words`, perhaps with a number in parentheses, or numbers with { } : , ! and -
    never,    // of no use here, and dangerous
} grammar;

typedef struct {
    const char *name;
    grammar grammar;
    int64_t low, high;
    const char *words, *expected;
} variable;

#define BOOLEANS " 0 1 true false .true. .false. .t. .f. t f on off yes no enabled disabled "
#define STACK_EXPECTED "256K to 1G, such as 16M"

enum { least_stack = 256 << 10, greatest_stack = 1 << 30, default_stack = 8 << 20 };

static const variable variables[] = {
    {"OMP_NUM_THREADS", counts, 1, 4096, NULL, "whole numbers from 1 to 4096, such as 4 or 4,2"},
    {"OMP_THREAD_LIMIT", counts, 1, INT32_MAX, NULL, "a whole number, 1 or more"},
    {"OMP_MAX_ACTIVE_LEVELS", counts, 0, INT32_MAX, NULL, "a whole number, 0 or more"},
    {"OMP_STACKSIZE", size, least_stack, greatest_stack, "K", STACK_EXPECTED},
    {"GOMP_STACKSIZE", size, least_stack, greatest_stack, "K", STACK_EXPECTED},
    {"KMP_STACKSIZE", size, least_stack, greatest_stack, "B", STACK_EXPECTED},
    {"OMP_DYNAMIC", words, 0, 0, BOOLEANS, "true or false"},
    {"OMP_NESTED", words, 0, 0, BOOLEANS, "true or false"},
    {"OMP_CANCELLATION", words, 0, 0, BOOLEANS, "true or false"},
    {"OMP_DISPLAY_ENV", words, 0, 0, BOOLEANS "verbose ", "true, false or verbose"},
    {"OMP_DISPLAY_AFFINITY", words, 0, 0, " 0 false .false. .f. f off no disabled ",
     "false, since libomp would print among the results"},
    {"OMP_WAIT_POLICY", words, 0, 0, " active passive ", "active or passive"},
    {"OMP_PROC_BIND", words, 0, 0, BOOLEANS "master primary close spread ",
     "true, false, primary, close or spread, with commas between several"},
    {"OMP_PLACES", places, 0, 65535, " threads cores sockets ll_caches numa_domains ",
     "threads, cores, sockets or lists such as {0,1},{2,3}"},
    {"OMP_TOOL", words, 0, 0, " enabled disabled ", "enabled or disabled"},
    {"GOMP_CPU_AFFINITY", places, 0, 65535, " ", "numbers of CPUs, such as 0-3 or 0,2"},
    {"KMP_DEVICE_THREAD_LIMIT", counts, 64, INT32_MAX, NULL, "a whole number, 64 or more (OMP_THREAD_LIMIT bounds a team)"},
    {"KMP_ALL_THREADS", counts, 64, INT32_MAX, NULL, "a whole number, 64 or more (OMP_THREAD_LIMIT bounds a team)"},
    {"KMP_CONSISTENCY_CHECK", words, 0, 0, " all none ", "all or none"},
    {"KMP_BLOCKTIME", counts, 0, INT32_MAX, " infinite ", "milliseconds, or infinite"},
    {"KMP_LIBRARY", words, 0, 0, " serial turnaround throughput dedicated multiuser ", "turnaround, throughput or serial"},
    {"KMP_FORCE_REDUCTION", words, 0, 0, " critical atomic tree ", "critical, atomic or tree"},
    {"KMP_FORKJOIN_BARRIER", counts, 1, 31, NULL, "two whole numbers from 1 to 31"},
    {"KMP_PLAIN_BARRIER", counts, 1, 31, NULL, "two whole numbers from 1 to 31"},
    {"KMP_REDUCTION_BARRIER", counts, 1, 31, NULL, "two whole numbers from 1 to 31"},
    {"KMP_FORKJOIN_BARRIER_PATTERN", words, 0, 0, " linear tree hyper hierarchical dist ",
     "two of linear, tree, hyper and dist"},
    {"KMP_PLAIN_BARRIER_PATTERN", words, 0, 0, " linear tree hyper hierarchical dist ", "two of linear, tree, hyper and dist"},
    {"KMP_REDUCTION_BARRIER_PATTERN", words, 0, 0, " linear tree hyper hierarchical dist ",
     "two of linear, tree, hyper and dist"},
    {"KMP_ADAPTIVE_LOCK_PROPS", counts, 1, 65535, NULL, "two whole numbers, 1 or more"},
    {"KMP_SPIN_BACKOFF_PARAMS", counts, 1, 65535, NULL, "two whole numbers, 1 or more"},
    {"KMP_TOPOLOGY_METHOD", words, 0, 0, " all cpuid_leaf31 cpuid_leaf11 cpuid_leaf4 cpuinfo group flat hwloc ",
     "all, cpuinfo or flat"},
    {"KMP_ALIGN_ALLOC", counts, 64, 4096, NULL, "a power of two from 64 to 4096"},
    {"KMP_CPUINFO_FILE", never, 0, 0, NULL, "none"},
    {"KMP_GTID_MODE", counts, 2, 3, NULL, "2 or 3"},
    {"KMP_TASKING", words, 0, 0, " 0 2 ", "0 or 2"},
};

// These three libomp reads with care: it says itself what it does not understand, and goes on.
static const char *const left_alone[] = {"KMP_AFFINITY", "KMP_HW_SUBSET", "KMP_PLACE_THREADS", "KMP_SCHEDULE", "KMP_LOCK_KIND"};

static const variable any_other = {NULL, setting, 0, 65535, BOOLEANS, "true, false or a whole number up to 65535"};

static const char *after_spaces(const char *s) {
    while (*s == ' ' || *s == '\t') s++;
    return s;
}

static bool number(const char **s, int64_t low, int64_t high) {
    int64_t value = 0;
    const char *at = *s;
    while (isdigit((unsigned char)*at) && value <= INT64_MAX / 10 - 10) value = 10 * value + (*at++ - '0');
    if (at == *s || isdigit((unsigned char)*at)) return false;
    *s = at;
    return value >= low && value <= high;
}

// Whether the `length` characters at `s` stand in `list` with a space on either side.
static bool is_listed(const char *s, size_t length, const char *list) {
    if (list == NULL || length == 0) return false;
    for (const char *at = list; (at = strchr(at, ' ')) != NULL && at[1] != 0; at++)
        if (strncasecmp(at + 1, s, length) == 0 && at[1 + length] == ' ') return true;
    return false;
}

static size_t word_length(const char *s) {
    size_t length = 0;
    while (isalnum((unsigned char)s[length]) || s[length] == '_' || s[length] == '.') length++;
    return length;
}

static bool bytes(const char *s, char unit, int64_t *value) {
    s = after_spaces(s);
    char *end;
    if (!isdigit((unsigned char)*s)) return false;
    *value = strtoll(s, &end, 10);
    s = after_spaces(end);
    if (*s != 0) unit = (char)toupper((unsigned char)*s++);
    const char *units = "BKMGT", *place = strchr(units, unit);
    if (unit == 0 || place == NULL || *after_spaces(toupper((unsigned char)*s) == 'B' ? s + 1 : s) != 0) return false;
    const int shift = 10 * (int)(place - units);
    if (*value > INT64_MAX >> shift) return false;
    *value <<= shift;
    return true;
}

static bool is_valid(const variable *v, const char *s) {
    int64_t value;
    switch (v->grammar) {
    case never:
        return false;
    case size:
        return bytes(s, v->words[0], &value) && value >= v->low && value <= v->high;
    case setting:
    case counts:
    case words:
        do {
            s = after_spaces(s);
            const size_t length = word_length(s);
            if (is_listed(s, length, v->words))
                s += length;
            else if (v->grammar == words || !number(&s, v->low, v->high))
                return false;
            s = after_spaces(s);
        } while (v->grammar != setting && *s == ',' && *s++);
        return *s == 0;
    case places:
        s = after_spaces(s);
        if (isalpha((unsigned char)*s)) {
            const size_t length = word_length(s);
            if (!is_listed(s, length, v->words)) return false;
            s = after_spaces(s + length);
            if (*s == 0) return true;
            return *s++ == '(' && number(&s, 1, v->high) && *s == ')' && *after_spaces(s + 1) == 0;
        }
        if (*s == 0) return false;
        while (*s != 0) {
            if (isdigit((unsigned char)*s) ? !number(&s, v->low, v->high) : strchr(" {}:,!-", *s++) == NULL) return false;
        }
        return true;
    }
    return false;
}

static const variable *grammar_of(const char *name, size_t length) {
    for (size_t i = 0; i < sizeof variables / sizeof *variables; i++)
        if (strlen(variables[i].name) == length && strncmp(variables[i].name, name, length) == 0) return &variables[i];
    for (size_t i = 0; i < sizeof left_alone / sizeof *left_alone; i++)
        if (strlen(left_alone[i]) == length && strncmp(left_alone[i], name, length) == 0) return NULL;
    return strncmp(name, "KMP_", 4) == 0 ? &any_other : NULL;
}

static void append(char *text, size_t size, const char *format, ...) __attribute__((format(printf, 3, 4)));
static void append(char *text, size_t size, const char *format, ...) {
    const size_t used = strlen(text);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text + used, size - used, format, arguments);
    va_end(arguments);
}

void csimd_mend_openmp_environment(char *text, size_t size) {
    if (environ == NULL) return;
    for (char **entry = environ; *entry != NULL;) {
        const char *equals = strchr(*entry, '=');
        const size_t length = equals == NULL ? 0 : (size_t)(equals - *entry);
        const variable *v = grammar_of(*entry, length);
        char name[64];
        if (v == NULL || length == 0 || length >= sizeof name || is_valid(v, equals + 1)) {
            entry++;
            continue;
        }
        memcpy(name, *entry, length);
        name[length] = 0;
        append(text, size, "%s%s is \"%.40s\" in the environment, expected %s: ignored; unset it, or correct it",
               text[0] ? ". " : "", name, equals + 1, v->expected);
        unsetenv(name);  // the entries after it move up
    }
}

size_t csimd_openmp_stack_bytes(void) {
    int64_t value;
    for (size_t i = 0; i < sizeof variables / sizeof *variables; i++) {
        const char *given = variables[i].grammar == size ? getenv(variables[i].name) : NULL;
        if (given != NULL && bytes(given, variables[i].words[0], &value) && value <= greatest_stack) return (size_t)value;
    }
    return default_stack;
}
