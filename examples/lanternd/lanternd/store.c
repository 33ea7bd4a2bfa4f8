#include "lanternd/store.h"

#include "common/alloc.h"

#include <stdlib.h>
#include <string.h>

void store_init(struct store *s, const uint8_t seed[TINYHASH_KEY_LEN],
		size_t limit)
{
	tinyhash_init(&s->lamps, seed);
	s->limit = limit;
	s->lit = 0;
}

static void lamp_free(struct lamp_record *lamp)
{
	if (!lamp)
		return;
	lamp_record_clear(lamp);
	free(lamp);
}

void store_free(struct store *s)
{
	const char *name;
	size_t iter = 0;
	void *lamp;

	while (tinyhash_next(&s->lamps, &iter, &name, &lamp))
		lamp_free(lamp);
	tinyhash_free(&s->lamps);
	s->lit = 0;
}

static bool is_alnum(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       (c >= '0' && c <= '9');
}

bool store_name_valid(const char *name)
{
	size_t len;

	for (len = 0; name[len]; len++)
		if (!is_alnum(name[len]) &&
		    (!len || !strchr("-_.", name[len])))
			return false;
	return len >= 1 && len <= STORE_NAME_MAX;
}

static bool lamp_valid(const struct lamp_record *lamp)
{
	size_t i;

	if (!store_name_valid(lamp->name) || lamp->colour > 0xffffff ||
	    lamp->n_tags > STORE_TAGS_MAX)
		return false;
	for (i = 0; i < lamp->n_tags; i++)
		if (!store_name_valid(lamp->tags[i]))
			return false;
	return true;
}

static struct lamp_record *lamp_copy(const struct lamp_record *lamp)
{
	struct lamp_record *copy = xmalloc(sizeof(*copy));
	size_t i;

	*copy = *lamp;
	copy->name = xstrdup(lamp->name);
	copy->tags = NULL;
	if (lamp->n_tags)
		copy->tags = xcalloc(lamp->n_tags, sizeof(*copy->tags));
	for (i = 0; i < lamp->n_tags; i++)
		copy->tags[i] = xstrdup(lamp->tags[i]);
	return copy;
}

static enum store_status put(struct store *s, const struct lamp_record *lamp)
{
	struct lamp_record *copy = lamp_copy(lamp);
	void *old;

	if (!tinyhash_set(&s->lamps, copy->name, copy, &old)) {
		lamp_free(copy);
		return STORE_FULL;
	}
	s->lit += copy->lit;
	if (old) {
		s->lit -= ((struct lamp_record *)old)->lit;
		lamp_free(old);
	}
	return STORE_OK;
}

enum store_status store_add(struct store *s, const struct lamp_record *lamp)
{
	if (!lamp_valid(lamp))
		return STORE_INVALID;
	if (store_get(s, lamp->name))
		return STORE_EXISTS;
	if (s->lamps.len >= s->limit)
		return STORE_FULL;
	return put(s, lamp);
}

enum store_status store_replace(struct store *s, const struct lamp_record *lamp)
{
	if (!lamp_valid(lamp))
		return STORE_INVALID;
	if (!store_get(s, lamp->name))
		return STORE_MISSING;
	return put(s, lamp);
}

enum store_status store_delete(struct store *s, const char *name)
{
	struct lamp_record *lamp = tinyhash_remove(&s->lamps, name);

	if (!lamp)
		return STORE_MISSING;
	s->lit -= lamp->lit;
	lamp_free(lamp);
	return STORE_OK;
}

const struct lamp_record *store_get(const struct store *s, const char *name)
{
	return tinyhash_get(&s->lamps, name);
}

static int by_name(const void *a, const void *b)
{
	const struct lamp_record *const *x = a;
	const struct lamp_record *const *y = b;

	return strcmp((*x)->name, (*y)->name);
}

const struct lamp_record **store_sorted(const struct store *s)
{
	const struct lamp_record **list;
	const char *name;
	size_t iter = 0;
	size_t i = 0;
	void *lamp;

	if (!s->lamps.len)
		return NULL;
	list = xcalloc(s->lamps.len, sizeof(*list));
	while (tinyhash_next(&s->lamps, &iter, &name, &lamp))
		list[i++] = lamp;
	qsort(list, i, sizeof(*list), by_name);
	return list;
}
