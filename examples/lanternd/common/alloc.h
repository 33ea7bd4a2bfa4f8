/* Allocation that cannot fail: the process ends with a message instead. */
#ifndef LANTERN_COMMON_ALLOC_H
#define LANTERN_COMMON_ALLOC_H

#include <stddef.h>

void *xmalloc(size_t size);
void *xcalloc(size_t count, size_t size);
void *xrealloc(void *old, size_t size);

/* An array of COUNT elements of SIZE bytes; ends the process on overflow. */
void *xreallocarray(void *old, size_t count, size_t size);

char *xstrdup(const char *s);

/* Copies LEN bytes and adds a NUL. */
char *xstrndup(const char *s, size_t len);

#endif
