/*
 * The primitives beneath the generated messages. Integers are big-endian; a
 * string is a u16 length and that many bytes of UTF-8 without U+0000; a list
 * is a u16 count and the elements.
 */
#ifndef LANTERN_WIRE_WIRE_H
#define LANTERN_WIRE_WIRE_H

#include "common/strbuf.h"

#include <stdbool.h>
#include <stdint.h>

void towire_u8(struct strbuf *out, uint8_t value);
void towire_u16(struct strbuf *out, uint16_t value);
void towire_u32(struct strbuf *out, uint32_t value);
void towire_u64(struct strbuf *out, uint64_t value);
void towire_bool(struct strbuf *out, bool value);
void towire_bytes(struct strbuf *out, const void *data, size_t len);

/* What is longer than 65535 bytes is cut at a character boundary. */
void towire_string(struct strbuf *out, const char *value);

/*
 * What is left to read. The first failure sticks: everything read after it is
 * zero or empty, so that a reader checks once, at the end.
 */
struct wire_cursor {
	const uint8_t *data;
	size_t left;
	bool failed;
};

void wire_cursor_init(struct wire_cursor *c, const void *data, size_t len);

uint8_t fromwire_u8(struct wire_cursor *c);
uint16_t fromwire_u16(struct wire_cursor *c);
uint32_t fromwire_u32(struct wire_cursor *c);
uint64_t fromwire_u64(struct wire_cursor *c);
bool fromwire_bool(struct wire_cursor *c);
void fromwire_bytes(struct wire_cursor *c, void *out, size_t len);

/* For the caller to free; never NULL. */
char *fromwire_string(struct wire_cursor *c);

/* The count of a list whose elements take at least MIN_SIZE bytes each. */
uint16_t fromwire_count(struct wire_cursor *c, size_t min_size);

/* True if all went well and nothing is left. */
bool fromwire_done(const struct wire_cursor *c);

#endif
