/* The lamps, by name, in memory and in a file. */
#ifndef LANTERN_LANTERND_STORE_H
#define LANTERN_LANTERND_STORE_H

#include "common/strbuf.h"
#include "tinyhash.h"
#include "wire/lamp_wiregen.h"

#define STORE_NAME_MAX 64 /* bytes */
#define STORE_TAGS_MAX 16

struct store {
	struct tinyhash_map lamps; /* name → struct lamp_record */
	size_t limit;              /* lamps */
	size_t lit;                /* how many of them */
};

enum store_status {
	STORE_OK,
	STORE_EXISTS,
	STORE_MISSING,
	STORE_FULL,
	STORE_INVALID, /* name, tags, or colour */
};

void store_init(struct store *s, const uint8_t seed[TINYHASH_KEY_LEN],
		size_t limit);
void store_free(struct store *s);

/* Letters, digits, '-', '_' and '.', beginning with a letter or digit. */
bool store_name_valid(const char *name);

/* Copies LAMP. */
enum store_status store_add(struct store *s, const struct lamp_record *lamp);
enum store_status store_replace(struct store *s,
				const struct lamp_record *lamp);
enum store_status store_delete(struct store *s, const char *name);

/* NULL if there is none; valid until the store changes. */
const struct lamp_record *store_get(const struct store *s, const char *name);

/* All lamps by name, in an array for the caller to free; NULL if none. */
const struct lamp_record **store_sorted(const struct store *s);

/* Writes a new file and puts it in place of PATH. */
bool store_save(const struct store *s, const char *path, struct strbuf *err);

/* Fills an empty store. No file is no error; a damaged one leaves it empty. */
bool store_load(struct store *s, const char *path, struct strbuf *err);

#endif
