#include "wire/wire.h"

#include "common/alloc.h"
#include "common/utf8.h"

#include <string.h>

static void add_be(struct strbuf *out, uint64_t value, size_t size)
{
	uint8_t bytes[8];
	size_t i;

	for (i = 0; i < size; i++)
		bytes[i] = (uint8_t)(value >> (8 * (size - 1 - i)));
	strbuf_add(out, bytes, size);
}

void towire_u8(struct strbuf *out, uint8_t value)
{
	add_be(out, value, 1);
}

void towire_u16(struct strbuf *out, uint16_t value)
{
	add_be(out, value, 2);
}

void towire_u32(struct strbuf *out, uint32_t value)
{
	add_be(out, value, 4);
}

void towire_u64(struct strbuf *out, uint64_t value)
{
	add_be(out, value, 8);
}

void towire_bool(struct strbuf *out, bool value)
{
	add_be(out, value, 1);
}

void towire_bytes(struct strbuf *out, const void *data, size_t len)
{
	strbuf_add(out, data, len);
}

void towire_string(struct strbuf *out, const char *value)
{
	size_t len = strlen(value);

	if (len > UINT16_MAX) {
		len = UINT16_MAX;
		while (len && ((uint8_t)value[len] & 0xc0) == 0x80)
			len--;
	}
	towire_u16(out, (uint16_t)len);
	strbuf_add(out, value, len);
}

void wire_cursor_init(struct wire_cursor *c, const void *data, size_t len)
{
	c->data = data;
	c->left = len;
	c->failed = false;
}

static const uint8_t *take(struct wire_cursor *c, size_t len)
{
	const uint8_t *p = c->data;

	if (c->failed || c->left < len) {
		c->failed = true;
		c->left = 0;
		return NULL;
	}
	c->data += len;
	c->left -= len;
	return p;
}

static uint64_t read_be(struct wire_cursor *c, size_t size)
{
	const uint8_t *p = take(c, size);
	uint64_t value = 0;
	size_t i;

	for (i = 0; p && i < size; i++)
		value = value << 8 | p[i];
	return value;
}

uint8_t fromwire_u8(struct wire_cursor *c)
{
	return (uint8_t)read_be(c, 1);
}

uint16_t fromwire_u16(struct wire_cursor *c)
{
	return (uint16_t)read_be(c, 2);
}

uint32_t fromwire_u32(struct wire_cursor *c)
{
	return (uint32_t)read_be(c, 4);
}

uint64_t fromwire_u64(struct wire_cursor *c)
{
	return read_be(c, 8);
}

bool fromwire_bool(struct wire_cursor *c)
{
	uint8_t value = fromwire_u8(c);

	/* One value, one encoding. */
	if (value > 1)
		c->failed = true;
	return value == 1;
}

void fromwire_bytes(struct wire_cursor *c, void *out, size_t len)
{
	const uint8_t *p = take(c, len);

	if (p)
		memcpy(out, p, len);
	else
		memset(out, 0, len);
}

char *fromwire_string(struct wire_cursor *c)
{
	size_t len = fromwire_u16(c);
	const char *p = (const char *)take(c, len);

	if (!p)
		return xstrdup("");
	if (memchr(p, '\0', len) || !utf8_valid(p, len)) {
		c->failed = true;
		return xstrdup("");
	}
	return xstrndup(p, len);
}

uint16_t fromwire_count(struct wire_cursor *c, size_t min_size)
{
	uint16_t count = fromwire_u16(c);

	/* A short message must not make us allocate for a long list. */
	if (count * min_size > c->left) {
		c->failed = true;
		return 0;
	}
	return count;
}

bool fromwire_done(const struct wire_cursor *c)
{
	return !c->failed && c->left == 0;
}
