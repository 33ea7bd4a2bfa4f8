/* The map against a plain array, through many random changes. */
#include "tests/check.h"
#include "tinyhash.h"

#define KEYS 300

static int values[2];

static void check_all(const struct tinyhash_map *map, void *const *model)
{
	size_t i, iter = 0, seen = 0, expected = 0;
	const char *key;
	char name[16];
	void *value;

	for (i = 0; i < KEYS; i++) {
		snprintf(name, sizeof(name), "key-%zu", i);
		CHECK(tinyhash_get(map, name) == model[i]);
		expected += model[i] != NULL;
	}
	CHECK_INT(map->len, expected);
	while (tinyhash_next(map, &iter, &key, &value)) {
		CHECK(model[atoi(key + 4)] == value);
		seen++;
	}
	CHECK_INT(seen, expected);
}

int main(void)
{
	const uint8_t seed_bytes[TINYHASH_KEY_LEN] = "sixteen bytes..";
	void *model[KEYS] = {NULL};
	struct tinyhash_map map;
	uint64_t seed = 5;
	char name[16];
	void *old;
	int i;

	tinyhash_init(&map, seed_bytes);
	CHECK(!tinyhash_get(&map, "nothing"));
	CHECK(!tinyhash_remove(&map, "nothing"));
	check_all(&map, model);
	for (i = 0; i < 6000; i++) {
		size_t k = check_random(&seed) % KEYS;

		snprintf(name, sizeof(name), "key-%zu", k);
		/* It fills up first and empties later. */
		if (check_random(&seed) % 6000 > (uint32_t)i) {
			void *value = &values[check_random(&seed) & 1];

			CHECK(tinyhash_set(&map, name, value, &old));
			CHECK(old == model[k]);
			model[k] = value;
		} else {
			CHECK(tinyhash_remove(&map, name) == model[k]);
			model[k] = NULL;
		}
		if (i % 250 == 0)
			check_all(&map, model);
	}
	check_all(&map, model);
	tinyhash_free(&map);
	CHECK_INT(map.len, 0);
	return 0;
}
