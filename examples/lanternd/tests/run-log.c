#include "common/log.h"
#include "tests/check.h"

#include <unistd.h>

static void collect(const void *data, size_t len, void *arg)
{
	strbuf_add(arg, data, len);
	strbuf_addc(arg, '|');
}

static void writes_and_remembers(void)
{
	struct strbuf recent;
	struct log log;
	char buf[256];
	int fds[2];
	ssize_t n;

	CHECK(pipe(fds) == 0);
	log_init(&log, "prog", fds[1], 1000);
	log_add(&log, LOG_DEBUG, "not shown");
	log_add(&log, LOG_INFO, "number %d", 7);
	log.level = LOG_ERROR;
	log_add(&log, LOG_WARNING, "not shown");
	log_add(&log, LOG_ERROR, "two\nlines\x7f");
	n = read(fds[0], buf, sizeof(buf) - 1);
	CHECK(n > 0);
	buf[n] = '\0';
	CHECK_STR(buf, "prog: info: number 7\nprog: error: two?lines?\n");

	strbuf_init(&recent);
	ring_each(&log.recent, collect, &recent);
	CHECK_STR(recent.data, "prog: info: number 7|prog: error: two?lines?|");
	strbuf_free(&recent);
	log_free(&log);
	close(fds[0]);
	close(fds[1]);
}

static void long_lines_are_cut(void)
{
	struct strbuf text, recent;
	struct log log;

	strbuf_init(&text);
	strbuf_init(&recent);
	while (text.len < 5000)
		strbuf_adds(&text, "0123456789");
	log_init(&log, "prog", -1, 10000);
	log_add(&log, LOG_INFO, "%s", text.data);
	ring_each(&log.recent, collect, &recent);
	CHECK(recent.len > 1000 && recent.len <= 1024);
	log_free(&log);
	strbuf_free(&text);
	strbuf_free(&recent);
}

static void levels(void)
{
	enum log_level level;
	int i;

	for (i = LOG_DEBUG; i <= LOG_ERROR; i++) {
		CHECK(log_level_parse(log_level_name((enum log_level)i),
				      &level));
		CHECK_INT(level, i);
	}
	CHECK(!log_level_parse("", &level));
	CHECK(!log_level_parse("INFO", &level));
	CHECK(!log_level_parse("inf", &level));
}

int main(void)
{
	writes_and_remembers();
	long_lines_are_cut();
	levels();
	return 0;
}
