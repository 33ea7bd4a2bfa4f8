/* Random values survive writing and reading; damaged texts do no harm. */
#include "common/json_write.h"
#include "tests/check.h"

static uint64_t seed = 20260601;

static void random_string(char *out, size_t size)
{
	static const char *const pieces[] = {
		"a", "Z", "\"", "\\", "/", "\n", "\t", "\x01", "\x7f", " ",
		"\xc3\xbc", "\xe2\x82\xac", "\xf0\x9f\x92\xa1", "{", "]",
	};
	size_t used = 0;
	uint32_t n = check_random(&seed) % 12;

	out[0] = '\0';
	while (n--) {
		const char *piece = pieces[check_random(&seed) % 15];

		if (used + strlen(piece) + 1 > size)
			return;
		strcpy(out + used, piece);
		used += strlen(piece);
	}
}

static void random_value(struct json_writer *w, const char *key, int depth)
{
	char text[64], item_key[80];
	uint32_t i, n;

	switch (check_random(&seed) % (depth ? 7 : 5)) {
	case 0:
		jsonw_null(w, key);
		break;
	case 1:
		jsonw_bool(w, key, check_random(&seed) & 1);
		break;
	case 2:
		jsonw_int(w, key, (int64_t)check_random(&seed) - INT32_MAX / 2);
		break;
	case 3:
		jsonw_uint(w, key, (uint64_t)check_random(&seed) << 32);
		break;
	case 4:
		random_string(text, sizeof(text));
		jsonw_string(w, key, text);
		break;
	case 5:
		jsonw_array_begin(w, key);
		n = check_random(&seed) % 5;
		for (i = 0; i < n; i++)
			random_value(w, NULL, depth - 1);
		jsonw_array_end(w);
		break;
	case 6:
		jsonw_object_begin(w, key);
		n = check_random(&seed) % 5;
		for (i = 0; i < n; i++) {
			random_string(text, sizeof(text));
			snprintf(item_key, sizeof(item_key), "%" PRIu32 "%s",
				 i, text);
			random_value(w, item_key, depth - 1);
		}
		jsonw_object_end(w);
		break;
	}
}

static void damage(const struct strbuf *text)
{
	size_t len = text->len;
	char *copy = malloc(len);
	struct json *v;

	memcpy(copy, text->data, len);
	if (check_random(&seed) & 1)
		copy[check_random(&seed) % len] = (char)check_random(&seed);
	else
		len = check_random(&seed) % len;
	v = json_parse(copy, len, NULL);
	json_free(v);
	free(copy);
}

int main(void)
{
	struct strbuf first, second;
	struct json_writer w;
	int i;

	strbuf_init(&first);
	strbuf_init(&second);
	for (i = 0; i < 1000; i++) {
		struct json *v;

		strbuf_reset(&first);
		strbuf_reset(&second);
		jsonw_init(&w, &first);
		random_value(&w, NULL, 4);
		v = json_parse(first.data, first.len, NULL);
		CHECK(v);
		jsonw_init(&w, &second);
		jsonw_value(&w, NULL, v);
		CHECK_STR(second.data, first.data);
		json_free(v);
		damage(&first);
	}
	strbuf_free(&first);
	strbuf_free(&second);
	return 0;
}
