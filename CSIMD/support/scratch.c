// Per-thread scratch blocks, grown to the next power of two, on huge pages where they are large, freed when the thread ends.
#include "scratch.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>

typedef struct {
    void *block;
    size_t bytes;
} scratch_block;

static _Thread_local scratch_block blocks[CSIMD_SCRATCH_SLOTS];
static pthread_key_t release_key;
static pthread_once_t release_once = PTHREAD_ONCE_INIT;

static void release_blocks(void *thread_blocks) {
    scratch_block *list = thread_blocks;
    for (int slot = 0; slot < CSIMD_SCRATCH_SLOTS; slot++) {
        free(list[slot].block);
        list[slot] = (scratch_block){NULL, 0};
    }
}

static void make_release_key(void) { pthread_key_create(&release_key, release_blocks); }

void *csimd_scratch(int slot, size_t bytes) {
    assert(slot >= 0 && slot < CSIMD_SCRATCH_SLOTS);
    scratch_block *wanted = &blocks[slot];
    if (wanted->bytes >= bytes && wanted->block != NULL) return wanted->block;
    size_t capacity = 4096;
    while (capacity < bytes) {
        if (capacity > SIZE_MAX / 2) return NULL;
        capacity *= 2;
    }
    const size_t huge_page = (size_t)2 << 20;
    void *block = NULL;
    if (posix_memalign(&block, capacity >= huge_page ? huge_page : CSIMD_ALIGNMENT, capacity) != 0) return NULL;
#ifdef MADV_HUGEPAGE
    if (capacity >= huge_page) madvise(block, capacity, MADV_HUGEPAGE);
#endif
    free(wanted->block);
    *wanted = (scratch_block){block, capacity};
    pthread_once(&release_once, make_release_key);
    pthread_setspecific(release_key, blocks);
    return block;
}
