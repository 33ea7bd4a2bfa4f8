/* How the lamps are kept in a file: see wire/lamp_wire.csv. */
#include "lanternd/store.h"

#include "common/sha256.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FORMAT 1
#define MAX_FILE_SIZE ((size_t)64 * 1024 * 1024)

static void add_frame(struct strbuf *file, struct strbuf *message)
{
	towire_u32(file, (uint32_t)message->len);
	strbuf_add(file, message->data, message->len);
	strbuf_reset(message);
}

static void encode(const struct store *s, struct strbuf *file)
{
	struct lamp_header header = {FORMAT, (uint32_t)s->lamps.len};
	const struct lamp_record **lamps = store_sorted(s);
	struct lamp_trailer trailer;
	struct strbuf message;
	size_t i;

	strbuf_init(&message);
	towire_lamp_header(&message, &header);
	add_frame(file, &message);
	for (i = 0; i < s->lamps.len; i++) {
		towire_lamp_record(&message, lamps[i]);
		add_frame(file, &message);
	}
	sha256(file->data, file->len, trailer.sum);
	towire_lamp_trailer(&message, &trailer);
	add_frame(file, &message);
	strbuf_free(&message);
	free(lamps);
}

static bool write_all(int fd, const char *data, size_t len)
{
	while (len) {
		ssize_t n = write(fd, data, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return false;
		data += n;
		len -= (size_t)n;
	}
	return true;
}

bool store_save(const struct store *s, const char *path, struct strbuf *err)
{
	struct strbuf file, tmp;
	bool ok;
	int fd;

	strbuf_init(&file);
	strbuf_init(&tmp);
	encode(s, &file);
	strbuf_addf(&tmp, "%s.new", path);
	fd = open(tmp.data, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	ok = fd >= 0 && write_all(fd, file.data, file.len) && fsync(fd) == 0;
	if (fd >= 0 && close(fd) != 0)
		ok = false;
	if (ok)
		ok = rename(tmp.data, path) == 0;
	if (!ok)
		strbuf_addf(err, "cannot write %s: %s", path, strerror(errno));
	strbuf_free(&tmp);
	strbuf_free(&file);
	return ok;
}

/* The next frame of the file, whose length prefix has to fit. */
static bool next_frame(struct wire_cursor *file, const uint8_t **data,
		       size_t *len)
{
	*len = fromwire_u32(file);
	if (file->failed || *len > file->left)
		return false;
	*data = file->data;
	file->data += *len;
	file->left -= *len;
	return true;
}

/* NULL, or what is wrong with the file. */
static const char *decode(struct store *s, const void *content, size_t size)
{
	struct lamp_header header;
	struct lamp_record lamp;
	struct lamp_trailer trailer;
	struct wire_cursor file;
	uint8_t sum[SHA256_LEN];
	const uint8_t *frame;
	size_t len, before;
	uint32_t i;

	wire_cursor_init(&file, content, size);
	if (!next_frame(&file, &frame, &len) ||
	    !fromwire_lamp_header(frame, len, &header))
		return "no header";
	if (header.format != FORMAT)
		return "unknown format";
	for (i = 0; i < header.count; i++) {
		enum store_status status;

		if (!next_frame(&file, &frame, &len) ||
		    !fromwire_lamp_record(frame, len, &lamp))
			return "damaged record";
		status = store_add(s, &lamp);
		lamp_record_clear(&lamp);
		if (status == STORE_FULL)
			return "too many lamps";
		if (status != STORE_OK)
			return "damaged record";
	}
	before = size - file.left;
	if (!next_frame(&file, &frame, &len) ||
	    !fromwire_lamp_trailer(frame, len, &trailer) || file.left)
		return "no trailer";
	sha256(content, before, sum);
	if (memcmp(sum, trailer.sum, SHA256_LEN) != 0)
		return "checksum mismatch";
	return NULL;
}

static bool read_file(int fd, struct strbuf *content)
{
	struct stat st;

	if (fstat(fd, &st) != 0)
		return false;
	if (!S_ISREG(st.st_mode) || (size_t)st.st_size > MAX_FILE_SIZE) {
		errno = EINVAL;
		return false;
	}
	while (content->len < (size_t)st.st_size) {
		size_t want = (size_t)st.st_size - content->len;
		ssize_t n = read(fd, strbuf_reserve(content, want), want);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return false;
		if (n == 0)
			break;
		strbuf_commit(content, (size_t)n);
	}
	return true;
}

bool store_load(struct store *s, const char *path, struct strbuf *err)
{
	const char *damage = NULL;
	struct strbuf content;
	bool ok;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0 && errno == ENOENT)
		return true;
	strbuf_init(&content);
	ok = fd >= 0 && read_file(fd, &content);
	if (!ok)
		strbuf_addf(err, "cannot read %s: %s", path, strerror(errno));
	if (fd >= 0)
		close(fd);
	if (ok)
		damage = decode(s, content.data, content.len);
	if (damage) {
		strbuf_addf(err, "cannot use %s: %s", path, damage);
		store_free(s);
		ok = false;
	}
	strbuf_free(&content);
	return ok;
}
