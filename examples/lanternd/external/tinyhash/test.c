/* A quick self-test; the projects that use tinyhash test it further. */
#include "tinyhash.h"

#include <stdio.h>

#define CHECK(cond)                                                     \
	do {                                                            \
		if (!(cond)) {                                          \
			fprintf(stderr, "%s:%d: %s\n", __FILE__,        \
				__LINE__, #cond);                       \
			return 1;                                       \
		}                                                       \
	} while (0)

int main(void)
{
	uint8_t key[TINYHASH_KEY_LEN];
	uint8_t message[15];
	struct tinyhash_map map;
	char name[16];
	int value = 0;
	int i;

	for (i = 0; i < 16; i++)
		key[i] = (uint8_t)i;
	for (i = 0; i < 15; i++)
		message[i] = (uint8_t)i;
	/* The example of the SipHash paper, appendix A. */
	CHECK(tinyhash_siphash(key, message, 15) == 0xa129ca6149be45e5);

	tinyhash_init(&map, key);
	for (i = 0; i < 1000; i++) {
		snprintf(name, sizeof(name), "key-%d", i);
		CHECK(tinyhash_set(&map, name, &value, NULL));
	}
	for (i = 0; i < 1000; i += 2) {
		snprintf(name, sizeof(name), "key-%d", i);
		CHECK(tinyhash_remove(&map, name) == &value);
	}
	CHECK(map.len == 500);
	for (i = 0; i < 1000; i++) {
		snprintf(name, sizeof(name), "key-%d", i);
		CHECK(tinyhash_get(&map, name) == (i % 2 ? &value : NULL));
	}
	tinyhash_free(&map);
	return 0;
}
