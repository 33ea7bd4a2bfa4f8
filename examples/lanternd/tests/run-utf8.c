#include "common/utf8.h"
#include "tests/check.h"

static void every_scalar_round_trips(void)
{
	uint32_t cp, back;
	char bytes[4];

	/* Steps of 7 and the edges keep it short under valgrind. */
	for (cp = 0; cp <= 0x10ffff; cp += 7) {
		size_t n = utf8_encode(cp, bytes);

		if (cp >= 0xd800 && cp <= 0xdfff) {
			CHECK_INT(n, 0);
			continue;
		}
		CHECK(n >= 1 && n <= 4);
		CHECK_INT(utf8_decode(bytes, n, &back), n);
		CHECK_INT(back, cp);
		/* No prefix of it is a character. */
		CHECK_INT(utf8_decode(bytes, n - 1, &back), 0);
	}
}

static void edges(void)
{
	static const struct {
		uint32_t cp;
		size_t len;
	} table[] = {
		{0, 1}, {0x7f, 1}, {0x80, 2}, {0x7ff, 2}, {0x800, 3},
		{0xd7ff, 3}, {0xd800, 0}, {0xdfff, 0}, {0xe000, 3},
		{0xffff, 3}, {0x10000, 4}, {0x10ffff, 4}, {0x110000, 0},
		{UINT32_MAX, 0},
	};
	char bytes[4];
	size_t i;

	for (i = 0; i < sizeof(table) / sizeof(*table); i++)
		CHECK_INT(utf8_encode(table[i].cp, bytes), table[i].len);
}

static void check_validity(const char *s, bool expected)
{
	/* A copy of the exact size, so that reading on is noticed. */
	size_t len = strlen(s);
	char *copy = malloc(len ? len : 1);

	memcpy(copy, s, len);
	CHECK_INT(utf8_valid(copy, len), expected);
	free(copy);
}

static void malformed(void)
{
	check_validity("", true);
	check_validity("plain", true);
	check_validity("gr\xc3\xbc\xc3\x9f", true);
	check_validity("\xf0\x9f\x92\xa1", true);
	check_validity("\x80", false);
	check_validity("\xc3", false);
	check_validity("a\xc3" "b", false);
	check_validity("\xc0\x80", false);
	check_validity("\xc1\xbf", false);
	check_validity("\xe0\x9f\xbf", false);
	check_validity("\xed\xa0\x80", false);
	check_validity("\xf0\x8f\xbf\xbf", false);
	check_validity("\xf4\x90\x80\x80", false);
	check_validity("\xf8\x88\x80\x80\x80", false);
	check_validity("\xff", false);
	check_validity("ok\xf0\x9f\x92", false);
}

int main(void)
{
	every_scalar_round_trips();
	edges();
	malformed();
	return 0;
}
