#include "tinyhash.h"

#include <stdlib.h>
#include <string.h>

#define FIRST_CAP 16

void tinyhash_init(struct tinyhash_map *map,
		   const uint8_t seed[TINYHASH_KEY_LEN])
{
	memset(map, 0, sizeof(*map));
	memcpy(map->seed, seed, TINYHASH_KEY_LEN);
}

void tinyhash_free(struct tinyhash_map *map)
{
	size_t i;

	for (i = 0; i < map->cap; i++)
		free(map->slots[i].key);
	free(map->slots);
	map->slots = NULL;
	map->cap = 0;
	map->len = 0;
}

/* The slot that holds KEY, or the free one where it belongs. */
static size_t find(const struct tinyhash_map *map, const char *key,
		   uint64_t hash)
{
	size_t i = hash & (map->cap - 1);

	while (map->slots[i].key && (map->slots[i].hash != hash ||
				     strcmp(map->slots[i].key, key) != 0))
		i = (i + 1) & (map->cap - 1);
	return i;
}

static bool grow(struct tinyhash_map *map)
{
	struct tinyhash_map bigger = *map;
	size_t i;

	/* At most three quarters full, so that probing stays short. */
	if (map->cap && map->len + 1 <= map->cap / 4 * 3)
		return true;
	bigger.cap = map->cap ? map->cap * 2 : FIRST_CAP;
	bigger.slots = calloc(bigger.cap, sizeof(*bigger.slots));
	if (!bigger.slots)
		return false;
	for (i = 0; i < map->cap; i++) {
		const struct tinyhash_slot *slot = &map->slots[i];

		if (slot->key)
			bigger.slots[find(&bigger, slot->key, slot->hash)] =
				*slot;
	}
	free(map->slots);
	*map = bigger;
	return true;
}

bool tinyhash_set(struct tinyhash_map *map, const char *key, void *value,
		  void **old)
{
	size_t len = strlen(key);
	uint64_t hash = tinyhash_siphash(map->seed, key, len);
	struct tinyhash_slot *slot;

	if (!grow(map))
		return false;
	slot = &map->slots[find(map, key, hash)];
	if (old)
		*old = slot->key ? slot->value : NULL;
	if (!slot->key) {
		slot->key = malloc(len + 1);
		if (!slot->key)
			return false;
		memcpy(slot->key, key, len + 1);
		slot->hash = hash;
		map->len++;
	}
	slot->value = value;
	return true;
}

void *tinyhash_get(const struct tinyhash_map *map, const char *key)
{
	size_t i;

	if (!map->cap)
		return NULL;
	i = find(map, key, tinyhash_siphash(map->seed, key, strlen(key)));
	return map->slots[i].key ? map->slots[i].value : NULL;
}

void *tinyhash_remove(struct tinyhash_map *map, const char *key)
{
	size_t mask = map->cap - 1;
	size_t hole, i;
	void *value;

	if (!map->cap)
		return NULL;
	hole = find(map, key, tinyhash_siphash(map->seed, key, strlen(key)));
	if (!map->slots[hole].key)
		return NULL;
	value = map->slots[hole].value;
	free(map->slots[hole].key);
	map->len--;
	for (i = (hole + 1) & mask; map->slots[i].key; i = (i + 1) & mask) {
		size_t home = map->slots[i].hash & mask;

		/* Move it back unless its home lies between hole and i. */
		if (((i - home) & mask) >= ((i - hole) & mask)) {
			map->slots[hole] = map->slots[i];
			hole = i;
		}
	}
	memset(&map->slots[hole], 0, sizeof(map->slots[hole]));
	return value;
}

bool tinyhash_next(const struct tinyhash_map *map, size_t *iter,
		   const char **key, void **value)
{
	for (; *iter < map->cap; ++*iter) {
		if (map->slots[*iter].key) {
			*key = map->slots[*iter].key;
			*value = map->slots[*iter].value;
			++*iter;
			return true;
		}
	}
	return false;
}
