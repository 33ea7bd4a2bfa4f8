#include "common/json_write.h"

#include "common/utf8.h"

#include <inttypes.h>
#include <string.h>

void jsonw_init(struct json_writer *w, struct strbuf *out)
{
	w->out = out;
	w->comma = false;
}

static void add_quoted(struct strbuf *out, const char *s)
{
	static const char named[] = "\b\f\n\r\t\"\\";
	static const char letters[] = "bfnrt\"\\";
	size_t len = strlen(s);

	strbuf_addc(out, '"');
	while (len) {
		const char *found = strchr(named, *s);
		uint32_t cp;
		size_t n = utf8_decode(s, len, &cp);

		if (found) {
			strbuf_addc(out, '\\');
			strbuf_addc(out, letters[found - named]);
		} else if (!n) {
			/* The answer must be JSON whatever a caller passes. */
			strbuf_adds(out, "\xef\xbf\xbd");
			n = 1;
		} else if (cp < 0x20 || cp == 0x7f) {
			strbuf_addf(out, "\\u%04" PRIx32, cp);
		} else {
			strbuf_add(out, s, n);
		}
		s += n;
		len -= n;
	}
	strbuf_addc(out, '"');
}

static void begin_value(struct json_writer *w, const char *key)
{
	if (w->comma)
		strbuf_addc(w->out, ',');
	w->comma = true;
	if (key) {
		add_quoted(w->out, key);
		strbuf_addc(w->out, ':');
	}
}

void jsonw_object_begin(struct json_writer *w, const char *key)
{
	begin_value(w, key);
	strbuf_addc(w->out, '{');
	w->comma = false;
}

void jsonw_object_end(struct json_writer *w)
{
	strbuf_addc(w->out, '}');
	w->comma = true;
}

void jsonw_array_begin(struct json_writer *w, const char *key)
{
	begin_value(w, key);
	strbuf_addc(w->out, '[');
	w->comma = false;
}

void jsonw_array_end(struct json_writer *w)
{
	strbuf_addc(w->out, ']');
	w->comma = true;
}

void jsonw_string(struct json_writer *w, const char *key, const char *value)
{
	begin_value(w, key);
	add_quoted(w->out, value);
}

void jsonw_int(struct json_writer *w, const char *key, int64_t value)
{
	begin_value(w, key);
	strbuf_addf(w->out, "%" PRId64, value);
}

void jsonw_uint(struct json_writer *w, const char *key, uint64_t value)
{
	begin_value(w, key);
	strbuf_addf(w->out, "%" PRIu64, value);
}

void jsonw_bool(struct json_writer *w, const char *key, bool value)
{
	begin_value(w, key);
	strbuf_adds(w->out, value ? "true" : "false");
}

void jsonw_null(struct json_writer *w, const char *key)
{
	begin_value(w, key);
	strbuf_adds(w->out, "null");
}

void jsonw_value(struct json_writer *w, const char *key,
		 const struct json *value)
{
	size_t i;

	if (!value) {
		jsonw_null(w, key);
		return;
	}
	switch (value->type) {
	case JSON_NULL:
		jsonw_null(w, key);
		return;
	case JSON_BOOL:
		jsonw_bool(w, key, value->boolean);
		return;
	case JSON_NUMBER:
		begin_value(w, key);
		strbuf_adds(w->out, value->text);
		return;
	case JSON_STRING:
		jsonw_string(w, key, value->text);
		return;
	case JSON_ARRAY:
		jsonw_array_begin(w, key);
		for (i = 0; i < value->len; i++)
			jsonw_value(w, NULL, value->items[i]);
		jsonw_array_end(w);
		return;
	case JSON_OBJECT:
		jsonw_object_begin(w, key);
		for (i = 0; i < value->len; i++)
			jsonw_value(w, value->keys[i], value->items[i]);
		jsonw_object_end(w);
		return;
	}
}
