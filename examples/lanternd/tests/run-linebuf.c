#include "common/linebuf.h"
#include "tests/check.h"

static const char stream[] = "one\n\ntwo\r\n\r\nthree\r is here\nrest";
static const char *const lines[] = {"one", "", "two", "", "three\r is here"};

/* However the stream is cut into pieces of SIZE bytes. */
static void pieces(size_t size)
{
	struct linebuf lb;
	size_t at = 0, seen = 0;

	linebuf_init(&lb, 100);
	while (at < strlen(stream)) {
		size_t left = strlen(stream) - at;
		enum linebuf_status status;
		char *line;
		size_t len;

		linebuf_feed(&lb, stream + at, size < left ? size : left);
		at += size < left ? size : left;
		while ((status = linebuf_next(&lb, &line, &len)) ==
		       LINEBUF_LINE) {
			CHECK(seen < 5);
			CHECK_INT(len, strlen(lines[seen]));
			CHECK_STR(line, lines[seen]);
			seen++;
		}
		CHECK_INT(status, LINEBUF_MORE);
	}
	CHECK_INT(seen, 5);
	linebuf_free(&lb);
}

static void limit(void)
{
	struct linebuf lb;
	char *line;
	size_t len;

	linebuf_init(&lb, 5);
	linebuf_feed(&lb, "12345\n1234", 10);
	CHECK_INT(linebuf_next(&lb, &line, &len), LINEBUF_LINE);
	CHECK_INT(linebuf_next(&lb, &line, &len), LINEBUF_MORE);
	linebuf_feed(&lb, "5", 1);
	CHECK_INT(linebuf_next(&lb, &line, &len), LINEBUF_MORE);
	linebuf_feed(&lb, "6", 1);
	CHECK_INT(linebuf_next(&lb, &line, &len), LINEBUF_TOO_LONG);
	linebuf_feed(&lb, "\n", 1);
	CHECK_INT(linebuf_next(&lb, &line, &len), LINEBUF_TOO_LONG);
	linebuf_free(&lb);
}

int main(void)
{
	size_t size;

	for (size = 1; size <= sizeof(stream); size++)
		pieces(size);
	limit();
	return 0;
}
