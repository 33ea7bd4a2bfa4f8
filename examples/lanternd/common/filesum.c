#include "common/filesum.h"

#include "common/alloc.h"
#include "common/hex.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BLOCK_SIZE ((size_t)64 * 1024)
#define MAX_LIST_SIZE ((size_t)64 * 1024)

/* Up to LEN bytes; fewer at the end of the file only, -1 on an error. */
static ssize_t read_full(int fd, void *buf, size_t len)
{
	size_t done = 0;

	while (done < len) {
		ssize_t n = read(fd, (char *)buf + done, len - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		if (n == 0)
			break;
		done += (size_t)n;
	}
	return (ssize_t)done;
}

#ifdef CHECKSUM_WHOLE

const char filesum_mode[] = "whole";

/*
 * The obvious way: simple, and the heap grows by the size of the largest
 * plugin. Kept as a build variant (make CHECKSUM=whole) to show what a heap
 * limit is for.
 */
static bool hash_fd(int fd, uint8_t out[SHA256_LEN])
{
	struct stat st;
	char *content;
	ssize_t n;

	if (fstat(fd, &st) != 0)
		return false;
	content = xmalloc((size_t)st.st_size);
	n = read_full(fd, content, (size_t)st.st_size);
	if (n >= 0)
		sha256(content, (size_t)n, out);
	free(content);
	return n >= 0;
}

#else

const char filesum_mode[] = "stream";

static bool hash_fd(int fd, uint8_t out[SHA256_LEN])
{
	char *block = xmalloc(BLOCK_SIZE);
	struct sha256 ctx;
	ssize_t n;

	sha256_init(&ctx);
	do {
		n = read_full(fd, block, BLOCK_SIZE);
		if (n > 0)
			sha256_update(&ctx, block, (size_t)n);
	} while (n == (ssize_t)BLOCK_SIZE);
	free(block);
	if (n < 0)
		return false;
	sha256_final(&ctx, out);
	return true;
}

#endif

bool filesum_sha256(const char *path, uint8_t out[SHA256_LEN],
		    struct strbuf *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	bool ok;

	if (fd < 0) {
		strbuf_addf(err, "cannot open %s: %s", path, strerror(errno));
		return false;
	}
	ok = hash_fd(fd, out);
	if (!ok)
		strbuf_addf(err, "cannot read %s: %s", path, strerror(errno));
	close(fd);
	return ok;
}

static bool plain_name(const char *s, size_t len)
{
	if (!len || memchr(s, '/', len) || memchr(s, '\0', len))
		return false;
	return !(s[0] == '.' && (len == 1 || (len == 2 && s[1] == '.')));
}

static bool known_name(const struct filesum_list *list, const char *s,
		       size_t len)
{
	size_t i;

	for (i = 0; i < list->len; i++)
		if (strlen(list->items[i].name) == len &&
		    memcmp(list->items[i].name, s, len) == 0)
			return true;
	return false;
}

bool filesum_parse(const char *text, size_t len, struct filesum_list *list,
		   struct strbuf *err)
{
	const char *end = text + len;
	unsigned int line_number = 0;

	list->items = NULL;
	list->len = 0;
	while (text < end) {
		const char *newline = memchr(text, '\n', (size_t)(end - text));
		size_t line = (size_t)((newline ? newline : end) - text);
		struct filesum entry;

		line_number++;
		/* 64 digits, a space, a space or '*' (binary mode), the name */
		if (line < 67 || text[64] != ' ' ||
		    (text[65] != ' ' && text[65] != '*') ||
		    !hex_decode(text, 64, entry.sum, SHA256_LEN) ||
		    !plain_name(text + 66, line - 66)) {
			strbuf_addf(err, "line %u: expected a SHA-256, two spaces and a file name",
				    line_number);
			filesum_list_free(list);
			return false;
		}
		if (known_name(list, text + 66, line - 66)) {
			strbuf_addf(err, "line %u: %.*s is listed twice",
				    line_number, (int)(line - 66), text + 66);
			filesum_list_free(list);
			return false;
		}
		entry.name = xstrndup(text + 66, line - 66);
		list->items = xreallocarray(list->items, list->len + 1,
					    sizeof(entry));
		list->items[list->len++] = entry;
		text += line + (newline ? 1 : 0);
	}
	return true;
}

bool filesum_load(const char *path, struct filesum_list *list,
		  struct strbuf *err)
{
	struct strbuf reason;
	char *text;
	ssize_t n;
	bool ok;
	int fd;

	list->items = NULL;
	list->len = 0;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		strbuf_addf(err, "cannot open %s: %s", path, strerror(errno));
		return false;
	}
	text = xmalloc(MAX_LIST_SIZE + 1);
	n = read_full(fd, text, MAX_LIST_SIZE + 1);
	if (n < 0)
		strbuf_addf(err, "cannot read %s: %s", path, strerror(errno));
	close(fd);
	if (n > (ssize_t)MAX_LIST_SIZE) {
		strbuf_addf(err, "%s is larger than %zu bytes", path,
			    MAX_LIST_SIZE);
		n = -1;
	}
	if (n < 0) {
		free(text);
		return false;
	}
	strbuf_init(&reason);
	ok = filesum_parse(text, (size_t)n, list, &reason);
	if (!ok)
		strbuf_addf(err, "%s, %s", path, reason.data);
	strbuf_free(&reason);
	free(text);
	return ok;
}

void filesum_list_free(struct filesum_list *list)
{
	size_t i;

	for (i = 0; i < list->len; i++)
		free(list->items[i].name);
	free(list->items);
	list->items = NULL;
	list->len = 0;
}
