/* Cuts a byte stream into lines, however the bytes arrive. */
#ifndef LANTERN_COMMON_LINEBUF_H
#define LANTERN_COMMON_LINEBUF_H

#include "common/strbuf.h"

#include <stdbool.h>

struct linebuf {
	struct strbuf pending;
	size_t start;   /* of the next line within `pending` */
	size_t scanned; /* no newline before this */
	size_t limit;   /* the longest line allowed, without its newline */
};

enum linebuf_status {
	LINEBUF_LINE,     /* here is a line */
	LINEBUF_MORE,     /* feed more bytes first */
	LINEBUF_TOO_LONG, /* the line exceeds the limit: give up this stream */
};

void linebuf_init(struct linebuf *lb, size_t limit);
void linebuf_free(struct linebuf *lb);
void linebuf_feed(struct linebuf *lb, const void *data, size_t len);

/*
 * The next line, NUL-terminated in place of its newline ("\r\n" too). It stays
 * valid until the next call of any of these functions.
 */
enum linebuf_status linebuf_next(struct linebuf *lb, char **line, size_t *len);

#endif
