/* UTF-8 as RFC 3629 defines it: no surrogates, no overlong forms, at most U+10FFFF. */
#ifndef LANTERN_COMMON_UTF8_H
#define LANTERN_COMMON_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The length of the character at S (1 to 4 bytes), or 0 if none begins there. */
size_t utf8_decode(const char *s, size_t len, uint32_t *codepoint);

/* Writes 1 to 4 bytes without a NUL; 0 if CODEPOINT is no Unicode scalar value. */
size_t utf8_encode(uint32_t codepoint, char out[4]);

bool utf8_valid(const char *s, size_t len);

#endif
