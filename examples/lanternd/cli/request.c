#include "cli/request.h"

#include "common/alloc.h"
#include "common/json_write.h"
#include "common/utf8.h"

#include <stdlib.h>
#include <string.h>

static bool add_object(struct json_writer *w, const char *text,
		       struct strbuf *err)
{
	struct json_error error;
	struct json *params = json_parse(text, strlen(text), &error);

	if (!params) {
		strbuf_addf(err, "the parameters are no JSON: %s, at byte %zu",
			    error.message, error.offset);
		return false;
	}
	jsonw_value(w, "params", params);
	json_free(params);
	return true;
}

static bool add_pair(struct json_writer *w, const char *word,
		     struct strbuf *err)
{
	const char *equals = strchr(word, '=');
	struct json *value;
	char *key;

	if (!equals || equals == word) {
		strbuf_addf(err, "expected KEY=VALUE, not '%s'", word);
		return false;
	}
	if (!utf8_valid(word, strlen(word))) {
		strbuf_addf(err, "'%s' is not UTF-8", word);
		return false;
	}
	key = xstrndup(word, (size_t)(equals - word));
	value = json_parse(equals + 1, strlen(equals + 1), NULL);
	if (value)
		jsonw_value(w, key, value);
	else
		jsonw_string(w, key, equals + 1);
	json_free(value);
	free(key);
	return true;
}

bool request_build(const char *method, char **words, size_t n_words,
		   struct strbuf *out, struct strbuf *err)
{
	struct json_writer w;
	size_t i;

	if (!utf8_valid(method, strlen(method))) {
		strbuf_addf(err, "'%s' is not UTF-8", method);
		return false;
	}
	jsonw_init(&w, out);
	jsonw_object_begin(&w, NULL);
	jsonw_int(&w, "id", 1);
	jsonw_string(&w, "method", method);
	if (n_words == 1 && words[0][0] == '{') {
		if (!add_object(&w, words[0], err))
			return false;
	} else if (n_words) {
		jsonw_object_begin(&w, "params");
		for (i = 0; i < n_words; i++)
			if (!add_pair(&w, words[i], err))
				return false;
		jsonw_object_end(&w);
	}
	jsonw_object_end(&w);
	strbuf_addc(out, '\n');
	return true;
}

static void add_newline(struct strbuf *out, unsigned int depth)
{
	strbuf_addc(out, '\n');
	while (depth--)
		strbuf_adds(out, "  ");
}

static void pretty(const struct json *value, struct strbuf *out,
		   unsigned int depth)
{
	const bool object = value->type == JSON_OBJECT;
	struct json_writer w;
	size_t i;

	jsonw_init(&w, out);
	if ((!object && value->type != JSON_ARRAY) || !value->len) {
		jsonw_value(&w, NULL, value);
		return;
	}
	strbuf_addc(out, object ? '{' : '[');
	for (i = 0; i < value->len; i++) {
		if (i)
			strbuf_addc(out, ',');
		add_newline(out, depth + 1);
		if (object) {
			jsonw_init(&w, out);
			jsonw_string(&w, NULL, value->keys[i]);
			strbuf_adds(out, ": ");
		}
		pretty(value->items[i], out, depth + 1);
	}
	add_newline(out, depth);
	strbuf_addc(out, object ? '}' : ']');
}

void request_pretty(const struct json *value, struct strbuf *out)
{
	pretty(value, out, 0);
	strbuf_addc(out, '\n');
}
