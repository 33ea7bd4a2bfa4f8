#include "common/timers.h"

#include "common/alloc.h"

#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <time.h>

void timers_init(struct timers *t)
{
	t->heap = NULL;
	t->len = 0;
	t->cap = 0;
	t->last_id = 0;
}

void timers_free(struct timers *t)
{
	free(t->heap);
	timers_init(t);
}

static bool before(const struct timer *a, const struct timer *b)
{
	return a->due != b->due ? a->due < b->due : a->id < b->id;
}

static void swap(struct timers *t, size_t i, size_t j)
{
	struct timer tmp = t->heap[i];

	t->heap[i] = t->heap[j];
	t->heap[j] = tmp;
}

static void sift_up(struct timers *t, size_t i)
{
	while (i && before(&t->heap[i], &t->heap[(i - 1) / 2])) {
		swap(t, i, (i - 1) / 2);
		i = (i - 1) / 2;
	}
}

static void sift_down(struct timers *t, size_t i)
{
	for (;;) {
		size_t least = i;
		size_t child = 2 * i + 1;

		if (child < t->len && before(&t->heap[child], &t->heap[least]))
			least = child;
		child++;
		if (child < t->len && before(&t->heap[child], &t->heap[least]))
			least = child;
		if (least == i)
			return;
		swap(t, i, least);
		i = least;
	}
}

static void remove_at(struct timers *t, size_t i)
{
	t->len--;
	if (i == t->len)
		return;
	t->heap[i] = t->heap[t->len];
	sift_up(t, i);
	sift_down(t, i);
}

uint64_t timers_add(struct timers *t, uint64_t due, timer_fn *fn, void *arg)
{
	struct timer timer = {++t->last_id, due, fn, arg};

	if (t->len == t->cap) {
		t->cap = t->cap ? t->cap * 2 : 8;
		t->heap = xreallocarray(t->heap, t->cap, sizeof(*t->heap));
	}
	t->heap[t->len] = timer;
	sift_up(t, t->len++);
	return timer.id;
}

void timers_cancel(struct timers *t, uint64_t id)
{
	size_t i;

	for (i = 0; i < t->len; i++) {
		if (t->heap[i].id == id) {
			remove_at(t, i);
			return;
		}
	}
}

int timers_wait(const struct timers *t, uint64_t now)
{
	uint64_t wait;

	if (!t->len)
		return -1;
	if (t->heap[0].due <= now)
		return 0;
	wait = t->heap[0].due - now;
	return wait > INT_MAX ? INT_MAX : (int)wait;
}

void timers_run(struct timers *t, uint64_t now)
{
	/* A timer added by a callback waits for the next run. */
	uint64_t newest = t->last_id;

	while (t->len && t->heap[0].due <= now && t->heap[0].id <= newest) {
		struct timer timer = t->heap[0];

		remove_at(t, 0);
		timer.fn(timer.arg);
	}
}

uint64_t timers_clock(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}
