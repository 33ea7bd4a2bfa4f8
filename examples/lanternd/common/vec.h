/* A growing array of pointers. The pointers belong to the caller. */
#ifndef LANTERN_COMMON_VEC_H
#define LANTERN_COMMON_VEC_H

#include <stddef.h>

struct vec {
	void **items;
	size_t len;
	size_t cap;
};

void vec_init(struct vec *v);
void vec_free(struct vec *v);
void vec_push(struct vec *v, void *item);

/* Takes item I out and closes the gap; the order stays. */
void *vec_remove(struct vec *v, size_t i);

/* The index of ITEM, or v->len if it is not there. */
size_t vec_find(const struct vec *v, const void *item);

#endif
