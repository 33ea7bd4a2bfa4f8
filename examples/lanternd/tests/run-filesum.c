#include "common/filesum.h"
#include "tests/check.h"

#include <unistd.h>

/* Around the size of a block: one less, equal, one more, and several. */
static void sums_of_files(void)
{
	static const size_t sizes[] = {0, 1, 65535, 65536, 65537, 200000};
	char path[] = "/tmp/run-filesum.XXXXXX";
	uint8_t expected[SHA256_LEN], sum[SHA256_LEN];
	uint8_t *data = malloc(200000);
	int fd = mkstemp(path);
	struct strbuf err;
	size_t i;

	strbuf_init(&err);
	CHECK(fd >= 0);
	for (i = 0; i < 200000; i++)
		data[i] = (uint8_t)(i * i >> 3);
	for (i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		CHECK(ftruncate(fd, 0) == 0);
		CHECK(pwrite(fd, data, sizes[i], 0) == (ssize_t)sizes[i]);
		CHECK(filesum_sha256(path, sum, &err));
		sha256(data, sizes[i], expected);
		CHECK(memcmp(sum, expected, SHA256_LEN) == 0);
	}
	close(fd);
	unlink(path);
	free(data);

	CHECK(!filesum_sha256(path, sum, &err));
	CHECK(strstr(err.data, "cannot open /tmp/run-filesum"));
	strbuf_reset(&err);
	CHECK(!filesum_sha256("/tmp", sum, &err));
	CHECK(strstr(err.data, "cannot read /tmp"));
	strbuf_free(&err);
}

#define SUM "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"

static void check_list(const char *text, int entries, const char *reason)
{
	struct filesum_list list;
	struct strbuf err;
	bool ok;

	strbuf_init(&err);
	ok = filesum_parse(text, strlen(text), &list, &err);
	CHECK_INT(ok, entries >= 0);
	if (ok)
		CHECK_INT(list.len, entries);
	else
		CHECK(strstr(err.data, reason));
	filesum_list_free(&list);
	strbuf_free(&err);
}

static void lists(void)
{
	struct filesum_list list;
	struct strbuf err;

	check_list("", 0, NULL);
	check_list(SUM "  one\n", 1, NULL);
	check_list(SUM "  no newline at the end", 1, NULL);
	check_list(SUM " *one\n" SUM "  two\n", 2, NULL);
	check_list("\n", -1, "line 1");
	check_list(SUM "  one\n" SUM "\n", -1, "line 2");
	check_list(SUM "  \n", -1, "line 1");
	check_list(SUM " one\n", -1, "line 1");
	check_list(SUM "  ../one\n", -1, "line 1");
	check_list(SUM "  ..\n", -1, "line 1");
	check_list(SUM "  one\n" SUM "  one\n", -1, "one is listed twice");
	check_list("zz7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad  one\n",
		   -1, "line 1");

	strbuf_init(&err);
	CHECK(!filesum_load("/nonexistent/plugins.sha256", &list, &err));
	CHECK(strstr(err.data, "cannot open"));
	filesum_list_free(&list);
	strbuf_free(&err);
}

int main(void)
{
	sums_of_files();
	lists();
	return 0;
}
