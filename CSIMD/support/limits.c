// Limits of control groups, versions 1 and 2, alone or mixed. /proc/self/cgroup says in which group of each hierarchy the
// process is, /proc/self/mountinfo where the hierarchy is mounted and which group is at the mount point: inside a container
// that may be the process's own, an ancestor, or one outside of which the process's path cannot be seen ("/../.."). A limit of
// any ancestor holds too, so every group from the process's own up to the mount point is read. What is missing, malformed or
// "max" is no limit.
#define _GNU_SOURCE
#include "limits.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

enum { path_bytes = 4096 };

// Above it a limit of version 1 means none: the kernel writes the greatest multiple of a page.
static const uint64_t no_limit_from = (uint64_t)1 << 60;

// Reads the file `name` of `folder` as text; false where there is none.
static bool read_text(const char *folder, const char *name, char *text, size_t size) {
    char path[path_bytes + 64];
    if (snprintf(path, sizeof path, "%s/%s", folder, name) >= (int)sizeof path) return false;
    FILE *file = fopen(path, "re");
    if (file == NULL) return false;
    const size_t length = fread(text, 1, size - 1, file);
    text[length] = 0;
    fclose(file);
    return length > 0;
}

// The number that `text` begins with; false where it begins with none, or where there is more than white space after it.
static bool read_number(const char *text, uint64_t *value) {
    char *end;
    if (*text < '0' || *text > '9') return false;
    *value = strtoull(text, &end, 10);
    return *end == 0 || *end == '\n' || *end == ' ' || *end == '\t';
}

static bool read_number_of(const char *folder, const char *name, uint64_t *value) {
    char text[64];
    return read_text(folder, name, text, sizeof text) && read_number(text, value);
}

// The number after `key` and a space, at the beginning of a line of memory.stat.
static bool read_statistic(const char *folder, const char *key, uint64_t *value) {
    char text[8192];
    if (!read_text(folder, "memory.stat", text, sizeof text)) return false;
    const size_t length = strlen(key);
    for (const char *line = text; line != NULL; line = strchr(line, '\n')) {
        if (*line == '\n') line++;
        if (strncmp(line, key, length) == 0 && line[length] == ' ') return read_number(line + length + 1, value);
    }
    return false;
}

static void take_quota(csimd_limits *limits, const char *folder, bool is_unified) {
    uint64_t quota, period;
    if (is_unified) {
        char text[64];
        if (!read_text(folder, "cpu.max", text, sizeof text) || !read_number(text, &quota)) return;
        const char *space = strchr(text, ' ');
        if (space == NULL || !read_number(space + 1, &period)) return;
    } else if (!read_number_of(folder, "cpu.cfs_quota_us", &quota) || !read_number_of(folder, "cpu.cfs_period_us", &period)) {
        return;
    }
    if (quota == 0 || period == 0) return;
    const double cpus = (double)quota / (double)period;
    if (cpus < limits->cpus) limits->cpus = cpus;
}

static void take_memory_limit(csimd_limits *limits, uint64_t limit, uint64_t used, uint64_t reclaimable) {
    if (limit >= no_limit_from) return;
    const uint64_t held = used - (reclaimable < used ? reclaimable : used);
    const uint64_t left = limit > held ? limit - held : 0;
    if (limit < limits->memory) {
        limits->memory = limit;
        limits->memory_used = used;
    }
    if (left < limits->memory_free) limits->memory_free = left;
}

static void take_memory(csimd_limits *limits, const char *folder, bool is_unified) {
    uint64_t limit, used = 0, reclaimable = 0;
    read_number_of(folder, is_unified ? "memory.current" : "memory.usage_in_bytes", &used);
    read_statistic(folder, is_unified ? "inactive_file" : "total_inactive_file", &reclaimable);
    static const char *const files[] = {"memory.max", "memory.high"};
    for (int i = 0; i < 2; i++)
        if (is_unified && read_number_of(folder, files[i], &limit)) take_memory_limit(limits, limit, used, reclaimable);
    if (is_unified) return;
    if (read_number_of(folder, "memory.limit_in_bytes", &limit)) take_memory_limit(limits, limit, used, reclaimable);
    if (read_statistic(folder, "hierarchical_memory_limit", &limit)) take_memory_limit(limits, limit, used, reclaimable);
}

// Whether `list`, with commas between its words, holds `word`.
static bool has_word(const char *list, const char *word) {
    const size_t length = strlen(word);
    for (const char *at = list; (at = strstr(at, word)) != NULL; at += length)
        if ((at == list || at[-1] == ',') && (at[length] == 0 || at[length] == ',')) return true;
    return false;
}

// Resolves the octal escapes of mountinfo (a space is \040), in place.
static void unescape(char *path) {
    char *to = path;
    for (const char *from = path; *from != 0; from++) {
        if (from[0] == '\\' && from[1] >= '0' && from[1] <= '3' && from[2] >= '0' && from[2] <= '7' && from[3] >= '0' &&
            from[3] <= '7') {
            *to++ = (char)((from[1] - '0') << 6 | (from[2] - '0') << 3 | (from[3] - '0'));
            from += 3;
        } else {
            *to++ = *from;
        }
    }
    *to = 0;
}

typedef struct {
    char *group, *mount, *options;
    bool is_unified;
} mounted;

// The fields of a line of mountinfo that matter: "36 35 98:0 /group /mount options [tags] - type source options".
static bool parse_mount(char *line, mounted *m) {
    char *rest = NULL, *field = strtok_r(line, " \n", &rest);
    for (int i = 0; field != NULL && i < 5; i++, field = strtok_r(NULL, " \n", &rest)) {
        if (i == 3) m->group = field;
        if (i == 4) m->mount = field;
    }
    while (field != NULL && strcmp(field, "-") != 0) field = strtok_r(NULL, " \n", &rest);
    if (field == NULL) return false;
    const char *type = strtok_r(NULL, " \n", &rest);
    if (type == NULL || strtok_r(NULL, " \n", &rest) == NULL) return false;
    m->options = strtok_r(NULL, " \n", &rest);
    m->is_unified = strcmp(type, "cgroup2") == 0;
    if (!m->is_unified && (strcmp(type, "cgroup") != 0 || m->options == NULL)) return false;
    unescape(m->group);
    unescape(m->mount);
    return true;
}

// The process's path in the hierarchy of `controller` (NULL: the unified one), from lines such as "4:cpu,cpuacct:/a/b".
static bool find_group(const char *root, const char *controller, char *group) {
    char path[path_bytes], *line = NULL;
    size_t size = 0;
    snprintf(path, sizeof path, "%s/proc/self/cgroup", root);
    FILE *file = fopen(path, "re");
    bool found = false;
    while (file != NULL && !found && getline(&line, &size, file) > 0) {
        line[strcspn(line, "\n")] = 0;
        char *list = strchr(line, ':'), *own = list == NULL ? NULL : strchr(list + 1, ':');
        if (own == NULL || own[1] != '/') continue;
        *own++ = 0;
        if (controller == NULL ? list[1] != 0 : !has_word(list + 1, controller)) continue;
        found = snprintf(group, path_bytes, "%s", own) < path_bytes;
    }
    free(line);
    if (file != NULL) fclose(file);
    return found;
}

// What follows the mount's group in the process's; nothing where the process is not seen below the mount.
static const char *below(const char *group, const char *mounted_group) {
    size_t length = strlen(mounted_group);
    while (length > 0 && mounted_group[length - 1] == '/') length--;
    if (strncmp(group, mounted_group, length) != 0 || (group[length] != '/' && group[length] != 0)) return "";
    return strstr(group, "/..") != NULL ? "" : group + length;
}

// Reads the groups from the process's own up to the mount point.
static void take_groups(csimd_limits *limits, const char *root, const mounted *m, const char *group,
                        void (*take)(csimd_limits *limits, const char *folder, bool is_unified)) {
    char folder[path_bytes];
    const int top = snprintf(folder, sizeof folder, "%s%s", root, m->mount);
    if (top < 0 || top >= path_bytes) return;
    snprintf(folder + top, sizeof folder - (size_t)top, "%s", below(group, m->group));
    while (true) {
        take(limits, folder, m->is_unified);
        char *slash = strrchr(folder + top, '/');
        if (slash == NULL) return;
        *slash = 0;
    }
}

csimd_limits csimd_read_limits(const char *root) {
    csimd_limits limits = {INFINITY, UINT64_MAX, UINT64_MAX, 0};
    char path[path_bytes], group[path_bytes], *line = NULL;
    size_t size = 0;
    snprintf(path, sizeof path, "%s/proc/self/mountinfo", root);
    FILE *file = fopen(path, "re");
    while (file != NULL && getline(&line, &size, file) > 0) {
        mounted m = {0};
        if (!parse_mount(line, &m)) continue;
        if ((m.is_unified || has_word(m.options, "cpu")) && find_group(root, m.is_unified ? NULL : "cpu", group))
            take_groups(&limits, root, &m, group, take_quota);
        if ((m.is_unified || has_word(m.options, "memory")) && find_group(root, m.is_unified ? NULL : "memory", group))
            take_groups(&limits, root, &m, group, take_memory);
    }
    free(line);
    if (file != NULL) fclose(file);
    return limits;
}

static uint64_t least(uint64_t a, uint64_t b) { return a < b ? a : b; }

// What MemAvailable of /proc/meminfo says, or `otherwise`.
static uint64_t available_on_machine(uint64_t otherwise) {
    char text[4096];
    uint64_t kilobytes;
    if (!read_text("/proc", "meminfo", text, sizeof text)) return otherwise;
    const char *line = strstr(text, "MemAvailable:");
    if (line == NULL) return otherwise;
    line += strlen("MemAvailable:");
    return read_number(line + strspn(line, " \t"), &kilobytes) ? kilobytes << 10 : otherwise;
}

static void take_own_limit(csimd_memory *memory, int resource, uint64_t used) {
    struct rlimit own;
    if (getrlimit(resource, &own) != 0 || own.rlim_cur == RLIM_INFINITY) return;
    memory->limit = least(memory->limit, own.rlim_cur);
    memory->available = least(memory->available, own.rlim_cur > used ? own.rlim_cur - used : 0);
}

csimd_memory csimd_measure_memory(void) {
    const uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE), total = (uint64_t)sysconf(_SC_PHYS_PAGES) * page;
    const csimd_limits limits = csimd_read_limits("");
    csimd_memory memory = {total, least(total, limits.memory), least(available_on_machine(total), limits.memory_free), 0};
    // In pages: size, resident, shared, text, library, data.
    char text[256];
    unsigned long long size = 0, resident = 0, data = 0;
    if (read_text("/proc/self", "statm", text, sizeof text) &&
        sscanf(text, "%llu %llu %*u %*u %*u %llu", &size, &resident, &data) != 3)
        size = resident = data = 0;
    memory.resident = resident * page;
    take_own_limit(&memory, RLIMIT_AS, size * page);
    take_own_limit(&memory, RLIMIT_DATA, data * page);
    return memory;
}

static pthread_once_t read_once = PTHREAD_ONCE_INIT;
static int quota_cpus;

static void read_quota(void) {
    const double cpus = csimd_read_limits("").cpus;
    quota_cpus = cpus < 1 << 20 ? (int)ceil(cpus) : 0;
}

int csimd_quota_cpus(void) {
    pthread_once(&read_once, read_quota);
    return quota_cpus;
}
