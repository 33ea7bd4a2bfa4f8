/*
 * A JSON reader (RFC 8259) which builds a tree.
 *
 * Stricter than the RFC in three points: keys of an object differ from each
 * other, strings hold no U+0000, and nesting is at most JSON_MAX_DEPTH deep.
 * Numbers keep their text, so that a value can be passed on unchanged.
 */
#ifndef LANTERN_COMMON_JSON_H
#define LANTERN_COMMON_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define JSON_MAX_DEPTH 64

enum json_type {
	JSON_NULL,
	JSON_BOOL,
	JSON_NUMBER,
	JSON_STRING,
	JSON_ARRAY,
	JSON_OBJECT,
};

struct json {
	enum json_type type;
	bool boolean;
	char *text;           /* JSON_NUMBER as written, JSON_STRING as UTF-8 */
	char **keys;          /* JSON_OBJECT: one for each item */
	struct json **items;  /* JSON_ARRAY, JSON_OBJECT */
	size_t len;           /* number of items */
};

struct json_error {
	size_t offset; /* in bytes */
	const char *message;
};

/* One value with blanks around it; NULL and ERROR filled if it is not that. */
struct json *json_parse(const char *text, size_t len, struct json_error *error);

void json_free(struct json *value);

/* The value of KEY; NULL if OBJECT is NULL, no object, or has no such key. */
const struct json *json_get(const struct json *object, const char *key);

/* These accept NULL, and are false or NULL if the value has another type. */
const char *json_string(const struct json *value);
bool json_bool(const struct json *value, bool *out);
bool json_int64(const struct json *value, int64_t *out);
bool json_double(const struct json *value, double *out);

#endif
