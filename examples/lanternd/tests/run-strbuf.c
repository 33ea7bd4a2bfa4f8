#include "common/strbuf.h"
#include "tests/check.h"

static void grows_and_stays_terminated(void)
{
	struct strbuf sb;
	size_t i;

	strbuf_init(&sb);
	CHECK_STR(sb.data, "");
	for (i = 0; i < 5000; i++) {
		strbuf_addc(&sb, (char)('a' + i % 26));
		CHECK_INT(sb.data[sb.len], 0);
	}
	CHECK_INT(sb.len, 5000);
	CHECK(memcmp(sb.data + 26, "abc", 3) == 0);
	strbuf_free(&sb);
	CHECK_STR(sb.data, "");
}

static void formats(void)
{
	struct strbuf sb;

	strbuf_init(&sb);
	strbuf_addf(&sb, "%d-%s", 42, "x");
	strbuf_addf(&sb, "%s", "");
	strbuf_addf(&sb, "%0200d", 7);
	CHECK_INT(sb.len, 204);
	CHECK(memcmp(sb.data, "42-x000", 7) == 0);
	strbuf_free(&sb);
}

static void consumes_from_the_front(void)
{
	struct strbuf sb;

	strbuf_init(&sb);
	strbuf_consume(&sb, 0);
	strbuf_adds(&sb, "hello world");
	strbuf_consume(&sb, 6);
	CHECK_STR(sb.data, "world");
	strbuf_consume(&sb, 5);
	CHECK_STR(sb.data, "");
	strbuf_adds(&sb, "again");
	strbuf_reset(&sb);
	CHECK_STR(sb.data, "");
	strbuf_free(&sb);
}

static void steals(void)
{
	struct strbuf sb;
	char *s;

	strbuf_init(&sb);
	s = strbuf_steal(&sb);
	CHECK_STR(s, "");
	free(s);
	strbuf_add(&sb, "a\0b", 3);
	s = strbuf_steal(&sb);
	CHECK(memcmp(s, "a\0b", 4) == 0);
	CHECK_INT(sb.len, 0);
	free(s);
}

int main(void)
{
	grows_and_stays_terminated();
	formats();
	consumes_from_the_front();
	steals();
	return 0;
}
