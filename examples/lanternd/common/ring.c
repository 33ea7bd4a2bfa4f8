#include "common/ring.h"

#include "common/alloc.h"

#include <stdlib.h>
#include <string.h>

#define HEADER 4 /* bytes of the length in front of each record */

void ring_init(struct ring *r, size_t size)
{
	memset(r, 0, sizeof(*r));
	r->bytes = xmalloc(size);
	r->size = size;
}

void ring_free(struct ring *r)
{
	free(r->bytes);
	memset(r, 0, sizeof(*r));
}

static void copy_in(struct ring *r, size_t at, const void *data, size_t len)
{
	size_t start = at % r->size;
	size_t first = len < r->size - start ? len : r->size - start;

	memcpy(r->bytes + start, data, first);
	memcpy(r->bytes, (const uint8_t *)data + first, len - first);
}

static void copy_out(const struct ring *r, size_t at, void *data, size_t len)
{
	size_t start = at % r->size;
	size_t first = len < r->size - start ? len : r->size - start;

	memcpy(data, r->bytes + start, first);
	memcpy((uint8_t *)data + first, r->bytes, len - first);
}

static size_t record_len(const struct ring *r, size_t at)
{
	uint32_t len;

	copy_out(r, at, &len, HEADER);
	return len;
}

static void drop_oldest(struct ring *r)
{
	size_t len = HEADER + record_len(r, r->head);

	r->head = (r->head + len) % r->size;
	r->used -= len;
	r->count--;
	r->dropped++;
}

bool ring_push(struct ring *r, const void *data, size_t len)
{
	uint32_t header = (uint32_t)len;

	if (len > UINT32_MAX - HEADER || len + HEADER > r->size) {
		r->dropped++;
		return false;
	}
	while (r->used + HEADER + len > r->size)
		drop_oldest(r);
	copy_in(r, r->head + r->used, &header, HEADER);
	if (len)
		copy_in(r, r->head + r->used + HEADER, data, len);
	r->used += HEADER + len;
	r->count++;
	return true;
}

void ring_each(const struct ring *r,
	       void (*fn)(const void *data, size_t len, void *arg), void *arg)
{
	struct strbuf record;
	size_t at = r->head;
	size_t i;

	strbuf_init(&record);
	for (i = 0; i < r->count; i++) {
		size_t len = record_len(r, at);

		strbuf_reset(&record);
		copy_out(r, at + HEADER, strbuf_reserve(&record, len), len);
		strbuf_commit(&record, len);
		fn(record.data, len, arg);
		at += HEADER + len;
	}
	strbuf_free(&record);
}
