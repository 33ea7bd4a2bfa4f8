/* What the plugins in C compute. */
#include "plugins/clocktime.h"
#include "plugins/palette.h"
#include "tests/check.h"

static void palette(void)
{
	CHECK_STR(palette_name(0xff0000), "red");
	CHECK_STR(palette_name(0xfe0102), "red");
	CHECK_STR(palette_name(0x010101), "black");
	CHECK_STR(palette_name(0xffbf01), "amber");
	CHECK(palette_mix(0x000000, 0xffffff, 50) == 0x808080);
	CHECK(palette_mix(0x123456, 0xffffff, 0) == 0x123456);
	CHECK(palette_mix(0xffffff, 0x123456, 100) == 0x123456);
	CHECK(palette_mix(0xff0000, 0x0000ff, 25) == 0xbf0040);
}

static void times(void)
{
	static const char *const bad[] = {
		"", "1:00", "24:00", "12:60", "12-30", "12:3", "12:345", "ab:cd",
	};
	size_t i;
	int m;

	CHECK(clocktime_parse("00:00", &m) && m == 0);
	CHECK(clocktime_parse("23:59", &m) && m == CLOCKTIME_DAY - 1);
	for (i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		CHECK(!clocktime_parse(bad[i], &m));
	CHECK_INT(clocktime_until(60, 90), 30);
	CHECK_INT(clocktime_until(90, 60), CLOCKTIME_DAY - 30);
	CHECK_INT(clocktime_until(5, 5), 0);
	CHECK(clocktime_within(60, 60, 61));
	CHECK(!clocktime_within(61, 60, 61));
	CHECK(clocktime_within(10, 1380, 60));
	CHECK(!clocktime_within(100, 1380, 60));
	CHECK(!clocktime_within(5, 5, 5));
}

int main(void)
{
	palette();
	times();
	return 0;
}
