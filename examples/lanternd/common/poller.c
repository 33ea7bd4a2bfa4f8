#include "common/poller.h"

#include "common/alloc.h"

#include <errno.h>
#include <stdlib.h>

void poller_init(struct poller *p)
{
	vec_init(&p->entries);
	p->fds = NULL;
	p->fds_cap = 0;
}

void poller_free(struct poller *p)
{
	size_t i;

	for (i = 0; i < p->entries.len; i++)
		free(p->entries.items[i]);
	vec_free(&p->entries);
	free(p->fds);
	poller_init(p);
}

struct poll_entry *poller_add(struct poller *p, int fd, short events,
			      poll_fn *fn, void *arg)
{
	struct poll_entry *entry = xmalloc(sizeof(*entry));

	entry->fd = fd;
	entry->events = events;
	entry->fn = fn;
	entry->arg = arg;
	vec_push(&p->entries, entry);
	return entry;
}

void poller_remove(struct poll_entry *entry)
{
	/* Freed later: poller_run() may be walking over it right now. */
	entry->fd = -1;
}

static void sweep(struct poller *p)
{
	size_t i = 0;

	while (i < p->entries.len) {
		struct poll_entry *entry = p->entries.items[i];

		if (entry->fd < 0)
			free(vec_remove(&p->entries, i));
		else
			i++;
	}
}

int poller_run(struct poller *p, int timeout)
{
	size_t i, n;
	int ready;

	sweep(p);
	n = p->entries.len;
	if (n > p->fds_cap) {
		p->fds_cap = n * 2;
		p->fds = xreallocarray(p->fds, p->fds_cap, sizeof(*p->fds));
	}
	for (i = 0; i < n; i++) {
		const struct poll_entry *entry = p->entries.items[i];

		p->fds[i].fd = entry->fd;
		p->fds[i].events = entry->events;
		p->fds[i].revents = 0;
	}
	ready = poll(p->fds, (nfds_t)n, timeout);
	if (ready < 0)
		return errno == EINTR ? 0 : -1;
	/* Callbacks may add entries: those come after the first n. */
	for (i = 0; i < n && ready > 0; i++) {
		const struct poll_entry *entry = p->entries.items[i];

		if (!p->fds[i].revents)
			continue;
		ready--;
		if (entry->fd >= 0)
			entry->fn(entry->arg, p->fds[i].revents);
	}
	sweep(p);
	return 0;
}
