/* Lower-case hexadecimal. */
#ifndef LANTERN_COMMON_HEX_H
#define LANTERN_COMMON_HEX_H

#include <stdbool.h>
#include <stddef.h>

/* Writes 2 * LEN digits and a NUL to OUT. */
void hex_encode(const void *data, size_t len, char *out);

/* Reads exactly 2 * OUTLEN digits of either case; false if S is anything else. */
bool hex_decode(const char *s, size_t slen, void *out, size_t outlen);

#endif
