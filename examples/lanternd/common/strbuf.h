/* A growing byte buffer which always ends in a NUL. */
#ifndef LANTERN_COMMON_STRBUF_H
#define LANTERN_COMMON_STRBUF_H

#include <stddef.h>

struct strbuf {
	char *data; /* never NULL: an empty buffer points at a static "" */
	size_t len; /* bytes in use, without the NUL */
	size_t cap; /* bytes allocated, 0 while nothing is */
};

void strbuf_init(struct strbuf *sb);
void strbuf_free(struct strbuf *sb);

/* Forgets the content and keeps the memory. */
void strbuf_reset(struct strbuf *sb);

void strbuf_add(struct strbuf *sb, const void *data, size_t len);
void strbuf_adds(struct strbuf *sb, const char *s);
void strbuf_addc(struct strbuf *sb, char c);
void strbuf_addf(struct strbuf *sb, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* Room for LEN more bytes, which the caller fills and then adds to `len`. */
char *strbuf_reserve(struct strbuf *sb, size_t len);
void strbuf_commit(struct strbuf *sb, size_t len);

/* Drops the first LEN bytes. */
void strbuf_consume(struct strbuf *sb, size_t len);

/* Hands the content to the caller, who frees it; the buffer is empty then. */
char *strbuf_steal(struct strbuf *sb);

#endif
