#include "common/colour.h"
#include "common/hex.h"
#include "tests/check.h"

static void round_trip(void)
{
	uint8_t all[256], back[256];
	char text[513];
	size_t i;

	for (i = 0; i < 256; i++)
		all[i] = (uint8_t)i;
	hex_encode(all, 256, text);
	CHECK_INT(strlen(text), 512);
	CHECK(memcmp(text, "000102", 6) == 0);
	CHECK_STR(text + 506, "fdfeff");
	CHECK(hex_decode(text, 512, back, 256));
	CHECK(memcmp(all, back, 256) == 0);
	hex_encode(all, 0, text);
	CHECK_STR(text, "");
}

static void refuses(void)
{
	uint8_t out[2];

	CHECK(hex_decode("aBCd", 4, out, 2));
	CHECK_INT(out[0], 0xab);
	CHECK(!hex_decode("abc", 3, out, 2));
	CHECK(!hex_decode("abc", 3, out, 1));
	CHECK(!hex_decode("abcdef", 6, out, 2));
	CHECK(!hex_decode("ab", 2, out, 2));
	CHECK(!hex_decode("gg", 2, out, 1));
	CHECK(!hex_decode("0x", 2, out, 1));
	CHECK(!hex_decode(" 1", 2, out, 1));
	CHECK(!hex_decode("/:", 2, out, 1));
	CHECK(!hex_decode("@`", 2, out, 1));
}

static void colours(void)
{
	char text[COLOUR_TEXT_SIZE];
	uint32_t colour;

	CHECK(colour_parse("#ffBF00", &colour));
	CHECK_INT(colour, 0xffbf00);
	colour_format(colour, text);
	CHECK_STR(text, "#ffbf00");
	CHECK(!colour_parse("", &colour));
	CHECK(!colour_parse("ffbf00", &colour));
	CHECK(!colour_parse("#fb0", &colour));
	CHECK(!colour_parse("#ffbf000", &colour));
	CHECK(!colour_parse("#ffbf0z", &colour));
}

int main(void)
{
	round_trip();
	refuses();
	colours();
	return 0;
}
