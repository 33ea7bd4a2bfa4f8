/* The state file: round trips, and every kind of damage. */
#include "lanternd/store.h"
#include "tests/check.h"

#include <fcntl.h>
#include <unistd.h>

static const uint8_t seed[TINYHASH_KEY_LEN] = "fifteen bytes..";
static char dir[] = "/tmp/run-store-file.XXXXXX";
static char path[64];

static void fill(struct store *s)
{
	char *tags[] = {(char *)"one", (char *)"two"};
	struct lamp_record lamp = {NULL, 0, false, 0, tags, 2};
	char name[16];
	int i;

	for (i = 0; i < 20; i++) {
		snprintf(name, sizeof(name), "lamp-%02d", i);
		lamp.name = name;
		lamp.watts = (uint16_t)(i * 100);
		lamp.lit = i % 2;
		lamp.colour = (uint32_t)i << 16;
		CHECK_INT(store_add(s, &lamp), STORE_OK);
	}
}

static size_t slurp(char *out, size_t size)
{
	int fd = open(path, O_RDONLY);
	ssize_t n = read(fd, out, size);

	close(fd);
	CHECK(n > 0);
	return (size_t)n;
}

static void spill(const char *data, size_t len)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	CHECK(write(fd, data, len) == (ssize_t)len);
	close(fd);
}

static bool loads(void)
{
	struct strbuf err;
	struct store s;
	bool ok;

	strbuf_init(&err);
	store_init(&s, seed, 100);
	ok = store_load(&s, path, &err);
	CHECK(ok == (err.len == 0));
	CHECK_INT(s.lamps.len, ok ? 20 : 0);
	CHECK_INT(s.lit, ok ? 10 : 0);
	store_free(&s);
	strbuf_free(&err);
	return ok;
}

int main(void)
{
	char file[4096], copy[4096];
	struct strbuf err;
	struct store s;
	size_t len, i;

	CHECK(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/state", dir);
	strbuf_init(&err);
	store_init(&s, seed, 100);
	CHECK(store_load(&s, path, &err));
	CHECK_INT(s.lamps.len, 0);
	fill(&s);
	CHECK(store_save(&s, path, &err));
	store_free(&s);
	CHECK(loads());

	len = slurp(file, sizeof(file));
	CHECK(len > 400 && len < sizeof(file));
	for (i = 0; i < len; i += 5) {
		spill(file, i);
		CHECK(!loads());
		memcpy(copy, file, len);
		copy[i] ^= 1;
		spill(copy, len);
		CHECK(!loads());
	}
	file[len] = 'x';
	spill(file, len + 1);
	CHECK(!loads());
	spill(file, len);
	CHECK(loads());

	/* A directory that is not there, a store that is too small. */
	store_init(&s, seed, 19);
	CHECK(!store_load(&s, path, &err));
	CHECK(strstr(err.data, "too many lamps"));
	strbuf_reset(&err);
	CHECK(!store_save(&s, "/nonexistent/state", &err));
	CHECK(strstr(err.data, "cannot write /nonexistent/state"));
	CHECK(!store_load(&s, dir, &err));
	store_free(&s);
	strbuf_free(&err);
	CHECK(unlink(path) == 0 && rmdir(dir) == 0);
	return 0;
}
