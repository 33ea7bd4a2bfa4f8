#include "common/linebuf.h"

#include <string.h>

void linebuf_init(struct linebuf *lb, size_t limit)
{
	strbuf_init(&lb->pending);
	lb->start = 0;
	lb->scanned = 0;
	lb->limit = limit;
}

void linebuf_free(struct linebuf *lb)
{
	strbuf_free(&lb->pending);
	lb->start = 0;
	lb->scanned = 0;
}

void linebuf_feed(struct linebuf *lb, const void *data, size_t len)
{
	/* Lines handed out are dropped here, once, not one by one. */
	strbuf_consume(&lb->pending, lb->start);
	lb->scanned -= lb->start;
	lb->start = 0;
	strbuf_add(&lb->pending, data, len);
}

enum linebuf_status linebuf_next(struct linebuf *lb, char **line, size_t *len)
{
	char *data = lb->pending.data;
	char *newline = memchr(data + lb->scanned, '\n',
			       lb->pending.len - lb->scanned);
	size_t end = newline ? (size_t)(newline - data) : lb->pending.len;

	if (end - lb->start > lb->limit)
		return LINEBUF_TOO_LONG;
	lb->scanned = end;
	if (!newline)
		return LINEBUF_MORE;
	*line = data + lb->start;
	*len = end - lb->start;
	if (*len && (*line)[*len - 1] == '\r')
		--*len;
	(*line)[*len] = '\0';
	lb->start = end + 1;
	lb->scanned = end + 1;
	return LINEBUF_LINE;
}
