#include "common/vec.h"

#include "common/alloc.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

void vec_init(struct vec *v)
{
	v->items = NULL;
	v->len = 0;
	v->cap = 0;
}

void vec_free(struct vec *v)
{
	free(v->items);
	vec_init(v);
}

void vec_push(struct vec *v, void *item)
{
	if (v->len == v->cap) {
		v->cap = v->cap ? v->cap * 2 : 8;
		v->items = xreallocarray(v->items, v->cap, sizeof(*v->items));
	}
	v->items[v->len++] = item;
}

void *vec_remove(struct vec *v, size_t i)
{
	void *item;

	assert(i < v->len);
	item = v->items[i];
	v->len--;
	memmove(v->items + i, v->items + i + 1,
		(v->len - i) * sizeof(*v->items));
	return item;
}

size_t vec_find(const struct vec *v, const void *item)
{
	size_t i;

	for (i = 0; i < v->len; i++)
		if (v->items[i] == item)
			break;
	return i;
}
