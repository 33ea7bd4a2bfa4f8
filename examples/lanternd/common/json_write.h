/* Writes compact JSON, one call a value. KEY is NULL in arrays and at the top. */
#ifndef LANTERN_COMMON_JSON_WRITE_H
#define LANTERN_COMMON_JSON_WRITE_H

#include "common/json.h"
#include "common/strbuf.h"

struct json_writer {
	struct strbuf *out;
	bool comma; /* a value stands before the next one */
};

void jsonw_init(struct json_writer *w, struct strbuf *out);

void jsonw_object_begin(struct json_writer *w, const char *key);
void jsonw_object_end(struct json_writer *w);
void jsonw_array_begin(struct json_writer *w, const char *key);
void jsonw_array_end(struct json_writer *w);

void jsonw_string(struct json_writer *w, const char *key, const char *value);
void jsonw_int(struct json_writer *w, const char *key, int64_t value);
void jsonw_uint(struct json_writer *w, const char *key, uint64_t value);
void jsonw_bool(struct json_writer *w, const char *key, bool value);
void jsonw_null(struct json_writer *w, const char *key);

/* A whole tree; NULL is written as null. */
void jsonw_value(struct json_writer *w, const char *key,
		 const struct json *value);

#endif
