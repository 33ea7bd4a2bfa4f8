/* The event loop's core: poll(2) with a callback for each descriptor. */
#ifndef LANTERN_COMMON_POLLER_H
#define LANTERN_COMMON_POLLER_H

#include "common/vec.h"

#include <poll.h>

/* REVENTS is what poll(2) reported. */
typedef void poll_fn(void *arg, short revents);

struct poll_entry {
	int fd; /* -1 once removed */
	short events;
	poll_fn *fn;
	void *arg;
};

struct poller {
	struct vec entries;
	struct pollfd *fds; /* scratch, as long as `entries` was */
	size_t fds_cap;
};

void poller_init(struct poller *p);
void poller_free(struct poller *p);

/* The entry is the poller's; `events` may be changed at any time. */
struct poll_entry *poller_add(struct poller *p, int fd, short events,
			      poll_fn *fn, void *arg);

/* Also from within a callback; the descriptor stays open. */
void poller_remove(struct poll_entry *entry);

/* Waits at most TIMEOUT milliseconds (-1: for ever). 0, or -1 and errno. */
int poller_run(struct poller *p, int timeout);

#endif
