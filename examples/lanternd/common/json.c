#include "common/json.h"

#include "common/alloc.h"
#include "common/strbuf.h"
#include "common/utf8.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct parser {
	const char *start;
	const char *p;
	const char *end;
	const char *message;
	int depth;
};

static struct json *parse_value(struct parser *ps);

static struct json *new_value(enum json_type type)
{
	struct json *value = xcalloc(1, sizeof(*value));

	value->type = type;
	return value;
}

/* Keeps the first message, where it went wrong. */
static bool fail(struct parser *ps, const char *message)
{
	if (!ps->message)
		ps->message = message;
	return false;
}

static void skip_blanks(struct parser *ps)
{
	while (ps->p < ps->end && (*ps->p == ' ' || *ps->p == '\t' ||
				   *ps->p == '\n' || *ps->p == '\r'))
		ps->p++;
}

static bool accept(struct parser *ps, char c)
{
	if (ps->p == ps->end || *ps->p != c)
		return false;
	ps->p++;
	return true;
}

static bool accept_word(struct parser *ps, const char *word)
{
	size_t len = strlen(word);

	if ((size_t)(ps->end - ps->p) < len || memcmp(ps->p, word, len) != 0)
		return fail(ps, "expected a value");
	ps->p += len;
	return true;
}

static bool parse_hex4(struct parser *ps, uint32_t *out)
{
	uint32_t value = 0;
	int i;

	for (i = 0; i < 4; i++) {
		char c = ps->p < ps->end ? *ps->p : '\0';

		if (c >= '0' && c <= '9')
			value = value << 4 | (uint32_t)(c - '0');
		else if (c >= 'a' && c <= 'f')
			value = value << 4 | (uint32_t)(c - 'a' + 10);
		else if (c >= 'A' && c <= 'F')
			value = value << 4 | (uint32_t)(c - 'A' + 10);
		else
			return fail(ps, "expected four hexadecimal digits");
		ps->p++;
	}
	*out = value;
	return true;
}

/* After "\u": one code point, which may take a second "\uXXXX". */
static bool parse_unicode_escape(struct parser *ps, struct strbuf *out)
{
	uint32_t cp, low;
	char utf8[4];
	size_t len;

	if (!parse_hex4(ps, &cp))
		return false;
	if (cp == 0)
		return fail(ps, "a string cannot hold U+0000");
	if (cp >= 0xd800 && cp <= 0xdbff) {
		if (!accept(ps, '\\') || !accept(ps, 'u'))
			return fail(ps, "half of a surrogate pair");
		if (!parse_hex4(ps, &low))
			return false;
		if (low < 0xdc00 || low > 0xdfff)
			return fail(ps, "half of a surrogate pair");
		cp = 0x10000 + ((cp - 0xd800) << 10) + (low - 0xdc00);
	}
	len = utf8_encode(cp, utf8);
	if (!len)
		return fail(ps, "half of a surrogate pair");
	strbuf_add(out, utf8, len);
	return true;
}

static bool parse_escape(struct parser *ps, struct strbuf *out)
{
	static const char from[] = "\"\\/bfnrt";
	static const char to[] = "\"\\/\b\f\n\r\t";
	const char *found;

	if (accept(ps, 'u'))
		return parse_unicode_escape(ps, out);
	if (ps->p == ps->end || *ps->p == '\0')
		return fail(ps, "unknown escape");
	found = strchr(from, *ps->p);
	if (!found)
		return fail(ps, "unknown escape");
	ps->p++;
	strbuf_addc(out, to[found - from]);
	return true;
}

static char *parse_string(struct parser *ps)
{
	struct strbuf out;
	uint32_t cp;

	strbuf_init(&out);
	while (ps->p < ps->end) {
		size_t n;

		if (accept(ps, '"'))
			return strbuf_steal(&out);
		if (accept(ps, '\\')) {
			if (!parse_escape(ps, &out))
				goto failed;
			continue;
		}
		if ((unsigned char)*ps->p < 0x20) {
			fail(ps, "a control character in a string must be escaped");
			goto failed;
		}
		n = utf8_decode(ps->p, (size_t)(ps->end - ps->p), &cp);
		if (!n) {
			fail(ps, "a string must be valid UTF-8");
			goto failed;
		}
		strbuf_add(&out, ps->p, n);
		ps->p += n;
	}
	fail(ps, "the string does not end");
failed:
	strbuf_free(&out);
	return NULL;
}

static bool parse_digits(struct parser *ps)
{
	const char *before = ps->p;

	while (ps->p < ps->end && *ps->p >= '0' && *ps->p <= '9')
		ps->p++;
	return ps->p > before || fail(ps, "expected a digit");
}

static struct json *parse_number(struct parser *ps)
{
	const char *before = ps->p;
	struct json *value;

	accept(ps, '-');
	if (!accept(ps, '0') && !parse_digits(ps))
		return NULL;
	if (accept(ps, '.') && !parse_digits(ps))
		return NULL;
	if (accept(ps, 'e') || accept(ps, 'E')) {
		if (!accept(ps, '+'))
			accept(ps, '-');
		if (!parse_digits(ps))
			return NULL;
	}
	value = new_value(JSON_NUMBER);
	value->text = xstrndup(before, (size_t)(ps->p - before));
	return value;
}

static void append(struct json *container, char *key, struct json *item)
{
	/* Room doubles whenever the length is a power of two. */
	if ((container->len & (container->len - 1)) == 0) {
		size_t room = container->len ? container->len * 2 : 1;

		container->items = xreallocarray(container->items, room,
						 sizeof(*container->items));
		if (container->type == JSON_OBJECT)
			container->keys = xreallocarray(container->keys, room,
							sizeof(*container->keys));
	}
	if (container->type == JSON_OBJECT)
		container->keys[container->len] = key;
	container->items[container->len++] = item;
}

static bool parse_member(struct parser *ps, struct json *object)
{
	struct json *item;
	char *key;

	skip_blanks(ps);
	if (!accept(ps, '"'))
		return fail(ps, "expected a key in quotes");
	key = parse_string(ps);
	if (!key)
		return false;
	if (json_get(object, key)) {
		free(key);
		return fail(ps, "the key occurs twice");
	}
	skip_blanks(ps);
	if (!accept(ps, ':')) {
		free(key);
		return fail(ps, "expected ':'");
	}
	item = parse_value(ps);
	if (!item) {
		free(key);
		return false;
	}
	append(object, key, item);
	return true;
}

static bool parse_items(struct parser *ps, struct json *container, char close)
{
	skip_blanks(ps);
	if (accept(ps, close))
		return true;
	for (;;) {
		if (container->type == JSON_OBJECT) {
			if (!parse_member(ps, container))
				return false;
		} else {
			struct json *item = parse_value(ps);

			if (!item)
				return false;
			append(container, NULL, item);
		}
		skip_blanks(ps);
		if (accept(ps, close))
			return true;
		if (!accept(ps, ','))
			return fail(ps, "expected ',' or the end of the list");
	}
}

static struct json *parse_container(struct parser *ps, enum json_type type)
{
	struct json *container;
	bool ok;

	if (ps->depth == JSON_MAX_DEPTH) {
		fail(ps, "nested too deep");
		return NULL;
	}
	ps->depth++;
	container = new_value(type);
	ok = parse_items(ps, container, type == JSON_ARRAY ? ']' : '}');
	ps->depth--;
	if (!ok) {
		json_free(container);
		return NULL;
	}
	return container;
}

static struct json *parse_value(struct parser *ps)
{
	struct json *value;
	char *text;

	skip_blanks(ps);
	if (accept(ps, '{'))
		return parse_container(ps, JSON_OBJECT);
	if (accept(ps, '['))
		return parse_container(ps, JSON_ARRAY);
	if (accept(ps, '"')) {
		text = parse_string(ps);
		if (!text)
			return NULL;
		value = new_value(JSON_STRING);
		value->text = text;
		return value;
	}
	if (ps->p == ps->end) {
		fail(ps, "expected a value");
		return NULL;
	}
	switch (*ps->p) {
	case 't':
	case 'f':
		value = new_value(JSON_BOOL);
		value->boolean = *ps->p == 't';
		if (accept_word(ps, value->boolean ? "true" : "false"))
			return value;
		json_free(value);
		return NULL;
	case 'n':
		return accept_word(ps, "null") ? new_value(JSON_NULL) : NULL;
	case '-':
	case '0': case '1': case '2': case '3': case '4':
	case '5': case '6': case '7': case '8': case '9':
		return parse_number(ps);
	default:
		fail(ps, "expected a value");
		return NULL;
	}
}

struct json *json_parse(const char *text, size_t len, struct json_error *error)
{
	struct parser ps = {text, text, text + len, NULL, 0};
	struct json *value = parse_value(&ps);

	if (value) {
		skip_blanks(&ps);
		if (ps.p == ps.end)
			return value;
		fail(&ps, "something follows the value");
		json_free(value);
	}
	if (error) {
		error->offset = (size_t)(ps.p - ps.start);
		error->message = ps.message;
	}
	return NULL;
}

void json_free(struct json *value)
{
	size_t i;

	if (!value)
		return;
	for (i = 0; i < value->len; i++) {
		if (value->keys)
			free(value->keys[i]);
		json_free(value->items[i]);
	}
	free(value->keys);
	free(value->items);
	free(value->text);
	free(value);
}

const struct json *json_get(const struct json *object, const char *key)
{
	size_t i;

	if (!object || object->type != JSON_OBJECT)
		return NULL;
	for (i = 0; i < object->len; i++)
		if (strcmp(object->keys[i], key) == 0)
			return object->items[i];
	return NULL;
}

const char *json_string(const struct json *value)
{
	return value && value->type == JSON_STRING ? value->text : NULL;
}

bool json_bool(const struct json *value, bool *out)
{
	if (!value || value->type != JSON_BOOL)
		return false;
	*out = value->boolean;
	return true;
}

bool json_int64(const struct json *value, int64_t *out)
{
	long long number;
	char *end;

	if (!value || value->type != JSON_NUMBER)
		return false;
	errno = 0;
	number = strtoll(value->text, &end, 10);
	if (errno != 0 || *end != '\0')
		return false;
	*out = number;
	return true;
}

bool json_double(const struct json *value, double *out)
{
	if (!value || value->type != JSON_NUMBER)
		return false;
	/* No locale is ever set, so the decimal point is a point. */
	*out = strtod(value->text, NULL);
	return true;
}
