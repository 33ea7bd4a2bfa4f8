/*
 * A ring of records within a fixed number of bytes: a new record pushes out
 * as many of the oldest as it needs the room of.
 */
#ifndef LANTERN_COMMON_RING_H
#define LANTERN_COMMON_RING_H

#include "common/strbuf.h"

#include <stdbool.h>
#include <stdint.h>

struct ring {
	uint8_t *bytes;
	size_t size;       /* of `bytes` */
	size_t head;       /* where the oldest record begins */
	size_t used;       /* bytes in use, records with their lengths */
	size_t count;      /* records held */
	uint64_t dropped;  /* records pushed out or too large, ever */
};

void ring_init(struct ring *r, size_t size);
void ring_free(struct ring *r);

/* False, and nothing changes but `dropped`, if the record can never fit. */
bool ring_push(struct ring *r, const void *data, size_t len);

/* Calls FN with every record, oldest first, in memory of its own. */
void ring_each(const struct ring *r,
	       void (*fn)(const void *data, size_t len, void *arg), void *arg);

#endif
