/* Timers as a binary heap. Time is a parameter, in milliseconds. */
#ifndef LANTERN_COMMON_TIMERS_H
#define LANTERN_COMMON_TIMERS_H

#include <stddef.h>
#include <stdint.h>

typedef void timer_fn(void *arg);

struct timer {
	uint64_t id;
	uint64_t due;
	timer_fn *fn;
	void *arg;
};

struct timers {
	struct timer *heap;
	size_t len;
	size_t cap;
	uint64_t last_id;
};

void timers_init(struct timers *t);
void timers_free(struct timers *t);

/* Calls FN once when the time is DUE. The result is never 0. */
uint64_t timers_add(struct timers *t, uint64_t due, timer_fn *fn, void *arg);

/* Does nothing if the timer has fired already, or if ID is 0. */
void timers_cancel(struct timers *t, uint64_t id);

/* Milliseconds until the next timer, 0 if one is due, -1 if there is none. */
int timers_wait(const struct timers *t, uint64_t now);

/* Fires what is due: earlier first, and of equals the one added first. */
void timers_run(struct timers *t, uint64_t now);

/* A clock that never goes back. */
uint64_t timers_clock(void);

#endif
