#include "tests/check.h"
#include "wire/wire.h"

static void round_trip(void)
{
	struct wire_cursor c;
	struct strbuf out;
	uint8_t bytes[3];
	char *s;

	strbuf_init(&out);
	towire_u8(&out, 0xab);
	towire_u16(&out, 0x1234);
	towire_u32(&out, 0xdeadbeef);
	towire_u64(&out, 0x0123456789abcdef);
	towire_bool(&out, true);
	towire_string(&out, "gr\xc3\xbcn");
	towire_bytes(&out, "xyz", 3);
	CHECK_INT(out.len, 1 + 2 + 4 + 8 + 1 + 7 + 3);
	CHECK(memcmp(out.data, "\xab\x12\x34\xde\xad\xbe\xef\x01\x23", 9) == 0);

	wire_cursor_init(&c, out.data, out.len);
	CHECK_INT(fromwire_u8(&c), 0xab);
	CHECK_INT(fromwire_u16(&c), 0x1234);
	CHECK(fromwire_u32(&c) == 0xdeadbeef);
	CHECK(fromwire_u64(&c) == 0x0123456789abcdef);
	CHECK(fromwire_bool(&c));
	s = fromwire_string(&c);
	CHECK_STR(s, "gr\xc3\xbcn");
	free(s);
	CHECK(!fromwire_done(&c));
	fromwire_bytes(&c, bytes, 3);
	CHECK(memcmp(bytes, "xyz", 3) == 0);
	CHECK(fromwire_done(&c));
	strbuf_free(&out);
}

static void failure_sticks(void)
{
	struct wire_cursor c;
	uint8_t bytes[2] = {1, 1};
	char *s;

	wire_cursor_init(&c, "\1\2\3", 3);
	CHECK_INT(fromwire_u32(&c), 0);
	CHECK_INT(fromwire_u8(&c), 0);
	fromwire_bytes(&c, bytes, 2);
	CHECK_INT(bytes[0], 0);
	s = fromwire_string(&c);
	CHECK_STR(s, "");
	free(s);
	CHECK(!fromwire_done(&c));
}

static void check_bad_string(const char *data, size_t len)
{
	struct wire_cursor c;
	char *s;

	wire_cursor_init(&c, data, len);
	s = fromwire_string(&c);
	CHECK(c.failed);
	CHECK_STR(s, "");
	free(s);
}

static void strictness(void)
{
	struct wire_cursor c;
	struct strbuf out;
	char *big = malloc(70001);
	char *s;

	wire_cursor_init(&c, "\2", 1);
	CHECK(!fromwire_bool(&c) && c.failed);
	check_bad_string("\0\3ab", 4);
	check_bad_string("\0\2a\0", 4);
	check_bad_string("\0\1\xff", 3);
	wire_cursor_init(&c, "\xff\xff\0\0", 4);
	CHECK(fromwire_count(&c, 2) == 0 && c.failed);
	wire_cursor_init(&c, "\0\2\0\0\0\0", 6);
	CHECK_INT(fromwire_count(&c, 2), 2);

	/* Cut between characters: 65535 is odd, each of these has two bytes. */
	memset(big, 0xc3, 70000);
	big[70000] = '\0';
	for (size_t i = 1; i < 70000; i += 2)
		big[i] = (char)0xbc;
	strbuf_init(&out);
	towire_string(&out, big);
	wire_cursor_init(&c, out.data, out.len);
	s = fromwire_string(&c);
	CHECK_INT(strlen(s), 65534);
	CHECK(fromwire_done(&c));
	free(s);
	free(big);
	strbuf_free(&out);
}

int main(void)
{
	round_trip();
	failure_sticks();
	strictness();
	return 0;
}
