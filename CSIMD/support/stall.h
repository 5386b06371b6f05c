// When to do without workers: a rule of numbers alone, which knows no clock and no thread.
//
// Another process can hold a worker's CPU. The region's end then waits for the worker's next time slice, some milliseconds
// for a product of 50 us, again and again: two threads become a tenth as fast as one. Such a region is a stall: its caller
// waited longer than any wake-up takes, and longer than it worked itself. After a stall the caller works alone for a pause of
// some times the wait, so that a single interruption costs little; the factor doubles while the first regions after a pause
// stall again.
#ifndef CSIMD_STALL_H
#define CSIMD_STALL_H

#include <stdbool.h>
#include <stdint.h>

enum {
    csimd_stall_wait = 500 * 1000,  // ns; waking a sleeping worker takes 80 us at most
    csimd_least_factor = 4,
    csimd_greatest_factor = 64,
};

typedef struct {
    int64_t factor;       // of the last pause over its wait, 0 before the first
    int64_t pause;        // the last pause's length
    int64_t alone_until;  // regions begin anew from here on
} csimd_stall_state;

// Takes note of a region that ended at `now` after its caller worked for `worked` and waited for `waited` (all ns).
static inline csimd_stall_state csimd_stall_after(csimd_stall_state state, int64_t now, int64_t worked, int64_t waited) {
    if (waited < csimd_stall_wait || waited < worked) return state;
    const bool again = state.factor != 0 && now - waited - worked - state.alone_until < state.pause;
    state.factor = !again                                 ? csimd_least_factor
                   : state.factor < csimd_greatest_factor ? 2 * state.factor
                                                          : csimd_greatest_factor;
    state.pause = waited * state.factor;
    state.alone_until = now + state.pause;
    return state;
}

#endif
