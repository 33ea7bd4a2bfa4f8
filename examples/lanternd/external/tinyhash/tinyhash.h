/*
 * tinyhash: SipHash-2-4 and a hash map from strings to pointers.
 *
 * The map uses open addressing with linear probing and deletes by shifting
 * back, so it has no tombstones. It copies the keys; the values are yours.
 */
#ifndef TINYHASH_H
#define TINYHASH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TINYHASH_KEY_LEN 16

/* SipHash-2-4 with 64 bits of output, as its authors' reference gives it. */
uint64_t tinyhash_siphash(const uint8_t key[TINYHASH_KEY_LEN],
			  const void *data, size_t len);

struct tinyhash_slot {
	char *key; /* NULL: free */
	uint64_t hash;
	void *value;
};

struct tinyhash_map {
	uint8_t seed[TINYHASH_KEY_LEN];
	struct tinyhash_slot *slots;
	size_t cap; /* a power of two, or 0 */
	size_t len;
};

/* A secret SEED keeps strangers from choosing keys that collide. */
void tinyhash_init(struct tinyhash_map *map,
		   const uint8_t seed[TINYHASH_KEY_LEN]);
void tinyhash_free(struct tinyhash_map *map);

/*
 * Sets KEY to VALUE, which must not be NULL. The former value goes to *OLD
 * (NULL if there was none; OLD may be NULL). False if memory runs out, and
 * then nothing has changed.
 */
bool tinyhash_set(struct tinyhash_map *map, const char *key, void *value,
		  void **old);

/* NULL if KEY is not there. */
void *tinyhash_get(const struct tinyhash_map *map, const char *key);

/* Takes KEY out and returns its value; NULL if KEY is not there. */
void *tinyhash_remove(struct tinyhash_map *map, const char *key);

/*
 * Walks over all entries in no useful order: start with *ITER = 0, until it
 * returns false. The map must not change meanwhile.
 */
bool tinyhash_next(const struct tinyhash_map *map, size_t *iter,
		   const char **key, void **value);

#endif
