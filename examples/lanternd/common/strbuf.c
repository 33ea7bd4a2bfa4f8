#include "common/strbuf.h"

#include "common/alloc.h"

#include <assert.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Shared by all empty buffers; nothing ever writes to it. */
static char empty[1];

void strbuf_init(struct strbuf *sb)
{
	sb->data = empty;
	sb->len = 0;
	sb->cap = 0;
}

void strbuf_free(struct strbuf *sb)
{
	if (sb->cap)
		free(sb->data);
	strbuf_init(sb);
}

void strbuf_reset(struct strbuf *sb)
{
	sb->len = 0;
	if (sb->cap)
		sb->data[0] = '\0';
}

char *strbuf_reserve(struct strbuf *sb, size_t len)
{
	size_t want = sb->len + len + 1;
	size_t cap = sb->cap ? sb->cap : 64;

	assert(want > len);
	if (want > sb->cap) {
		while (cap < want)
			cap = cap > SIZE_MAX / 2 ? want : cap * 2;
		sb->data = xrealloc(sb->cap ? sb->data : NULL, cap);
		sb->cap = cap;
		sb->data[sb->len] = '\0';
	}
	return sb->data + sb->len;
}

void strbuf_commit(struct strbuf *sb, size_t len)
{
	assert(sb->len + len < sb->cap);
	sb->len += len;
	sb->data[sb->len] = '\0';
}

void strbuf_add(struct strbuf *sb, const void *data, size_t len)
{
	if (!len)
		return;
	memcpy(strbuf_reserve(sb, len), data, len);
	strbuf_commit(sb, len);
}

void strbuf_adds(struct strbuf *sb, const char *s)
{
	strbuf_add(sb, s, strlen(s));
}

void strbuf_addc(struct strbuf *sb, char c)
{
	strbuf_add(sb, &c, 1);
}

void strbuf_addf(struct strbuf *sb, const char *fmt, ...)
{
	va_list ap;
	int len;

	va_start(ap, fmt);
	len = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	assert(len >= 0);

	va_start(ap, fmt);
	vsnprintf(strbuf_reserve(sb, (size_t)len), (size_t)len + 1, fmt, ap);
	va_end(ap);
	strbuf_commit(sb, (size_t)len);
}

void strbuf_consume(struct strbuf *sb, size_t len)
{
	assert(len <= sb->len);
	if (!len)
		return;
	sb->len -= len;
	memmove(sb->data, sb->data + len, sb->len + 1);
}

char *strbuf_steal(struct strbuf *sb)
{
	char *data = sb->cap ? sb->data : xstrdup("");

	strbuf_init(sb);
	return data;
}
