#include "common/json.h"
#include "tests/check.h"

/* A copy of the exact size, so that reading beyond it is noticed. */
static struct json *parse(const char *text, struct json_error *error)
{
	size_t len = strlen(text);
	char *copy = malloc(len ? len : 1);
	struct json *value;

	memcpy(copy, text, len);
	value = json_parse(copy, len, error);
	free(copy);
	return value;
}

static void values(void)
{
	struct json *v = parse(" {\"a\": [1, -2.5e3, true, null, \"x\"], \"b\": {}} ",
			       NULL);
	const struct json *a = json_get(v, "a");
	int64_t number;
	double real;
	bool flag;

	CHECK(v && v->type == JSON_OBJECT && v->len == 2);
	CHECK(a && a->type == JSON_ARRAY && a->len == 5);
	CHECK(json_int64(a->items[0], &number) && number == 1);
	CHECK(!json_int64(a->items[1], &number));
	CHECK(json_double(a->items[1], &real) && real == -2500.0);
	CHECK_STR(a->items[1]->text, "-2.5e3");
	CHECK(json_bool(a->items[2], &flag) && flag);
	CHECK(a->items[3]->type == JSON_NULL);
	CHECK_STR(json_string(a->items[4]), "x");
	CHECK(json_get(v, "b")->len == 0);
	CHECK(!json_get(v, "c"));
	CHECK(!json_get(a, "a"));
	CHECK(!json_get(NULL, "a"));
	CHECK(!json_string(a->items[0]));
	CHECK(!json_bool(a->items[0], &flag));
	CHECK(!json_double(NULL, &real));
	json_free(v);
}

static void integers(void)
{
	int64_t number;
	struct json *v = parse("[9223372036854775807,-9223372036854775808,"
			       "9223372036854775808,1.0,-0]", NULL);

	CHECK(v);
	CHECK(json_int64(v->items[0], &number) && number == INT64_MAX);
	CHECK(json_int64(v->items[1], &number) && number == INT64_MIN);
	CHECK(!json_int64(v->items[2], &number));
	CHECK(!json_int64(v->items[3], &number));
	CHECK(json_int64(v->items[4], &number) && number == 0);
	json_free(v);
}

static void check_string(const char *text, const char *expected)
{
	struct json *v = parse(text, NULL);

	CHECK_STR(json_string(v), expected);
	json_free(v);
}

static void strings(void)
{
	check_string("\"\"", "");
	check_string("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"\\/\b\f\n\r\t");
	check_string("\"\\u0041\\u00fc\\u20AC\"", "A\xc3\xbc\xe2\x82\xac");
	check_string("\"\\ud83d\\udca1\"", "\xf0\x9f\x92\xa1");
	check_string("\"gr\xc3\xbcn\"", "gr\xc3\xbcn");
}

static void malformed(void)
{
	static const struct {
		const char *text;
		size_t offset;
	} table[] = {
		{"", 0}, {"  ", 2}, {"nul", 0}, {"nulll", 4}, {"tru", 0},
		{"+1", 0}, {"01", 1}, {"-", 1}, {"1.", 2}, {".5", 0},
		{"1e", 2}, {"1e+", 3}, {"0x1", 1}, {"NaN", 0}, {"1 2", 2},
		{"[", 1}, {"[1", 2}, {"[1,", 3}, {"[1,]", 3}, {"[,1]", 1},
		{"[1 2]", 3}, {"{", 1}, {"{\"a\"", 4}, {"{\"a\":", 5},
		{"{\"a\":1", 6}, {"{\"a\":1,}", 7}, {"{a:1}", 1},
		{"{\"a\" 1}", 5}, {"{1:1}", 1}, {"]", 0}, {"}", 0},
		{"\"", 1}, {"\"abc", 4}, {"\"\\", 2}, {"\"\\x\"", 2},
		{"\"\\u12\"", 5}, {"\"\\u0000\"", 7}, {"\"\\ud800\"", 7},
		{"\"\\ud800\\u0041\"", 13}, {"\"\\udc00\"", 7},
		{"\"\n\"", 1}, {"\"\x80\"", 1}, {"\"\xc3\"", 1},
		{"{\"a\":1,\"a\":2}", 10}, {"'a'", 0}, {"[1]x", 3},
	};
	struct json_error error;
	size_t i;

	for (i = 0; i < sizeof(table) / sizeof(*table); i++) {
		if (parse(table[i].text, &error)) {
			fprintf(stderr, "accepted: %s\n", table[i].text);
			exit(1);
		}
		CHECK(error.message);
		if (error.offset != table[i].offset) {
			fprintf(stderr, "%s: offset %zu, not %zu\n",
				table[i].text, error.offset, table[i].offset);
			exit(1);
		}
	}
}

static void depth(void)
{
	char text[2 * JSON_MAX_DEPTH + 3];
	struct json_error error;
	struct json *v;

	memset(text, '[', JSON_MAX_DEPTH);
	memset(text + JSON_MAX_DEPTH, ']', JSON_MAX_DEPTH);
	text[2 * JSON_MAX_DEPTH] = '\0';
	v = parse(text, NULL);
	CHECK(v);
	json_free(v);

	memset(text, '[', JSON_MAX_DEPTH + 1);
	memset(text + JSON_MAX_DEPTH + 1, ']', JSON_MAX_DEPTH + 1);
	text[2 * JSON_MAX_DEPTH + 2] = '\0';
	CHECK(!parse(text, &error));
	CHECK_STR(error.message, "nested too deep");
}

int main(void)
{
	values();
	integers();
	strings();
	malformed();
	depth();
	return 0;
}
