/* The generated messages of the state file. */
#include "tests/check.h"
#include "wire/lamp_wiregen.h"

static void record(void)
{
	char *tags[] = {(char *)"kitchen", (char *)"", (char *)"\xe2\x82\xac"};
	const struct lamp_record in = {(char *)"desk", 60, true, 0xffbf00,
				       tags, 3};
	struct lamp_record out;
	struct strbuf wire;
	size_t len;

	strbuf_init(&wire);
	towire_lamp_record(&wire, &in);
	CHECK_INT(lamp_wire_peek(wire.data, wire.len), WIRE_LAMP_RECORD);
	CHECK(fromwire_lamp_record(wire.data, wire.len, &out));
	CHECK_STR(out.name, "desk");
	CHECK_INT(out.watts, 60);
	CHECK(out.lit);
	CHECK_INT(out.colour, 0xffbf00);
	CHECK_INT(out.n_tags, 3);
	CHECK_STR(out.tags[0], "kitchen");
	CHECK_STR(out.tags[1], "");
	CHECK_STR(out.tags[2], "\xe2\x82\xac");
	lamp_record_clear(&out);

	/* Every truncation fails, leaves nothing behind, and reads no further. */
	for (len = 0; len < wire.len; len++) {
		char *copy = malloc(len ? len : 1);

		memcpy(copy, wire.data, len);
		CHECK(!fromwire_lamp_record(copy, len, &out));
		CHECK(!out.name && !out.tags);
		free(copy);
	}
	strbuf_addc(&wire, 'x');
	CHECK(!fromwire_lamp_record(wire.data, wire.len, &out));
	strbuf_free(&wire);
}

static void damaged_records(void)
{
	char *tags[] = {(char *)"a", (char *)"b"};
	const struct lamp_record in = {(char *)"desk", 60, true, 0, tags, 2};
	struct lamp_record out;
	struct strbuf wire;
	uint64_t seed = 3;
	int i;

	strbuf_init(&wire);
	for (i = 0; i < 2000; i++) {
		strbuf_reset(&wire);
		towire_lamp_record(&wire, &in);
		wire.data[check_random(&seed) % wire.len] =
			(char)check_random(&seed);
		if (fromwire_lamp_record(wire.data, wire.len, &out))
			lamp_record_clear(&out);
	}
	strbuf_free(&wire);
}

static void others(void)
{
	const struct lamp_header header = {1, 70000};
	struct lamp_header header_out;
	struct lamp_trailer trailer, trailer_out;
	struct lamp_record record_out;
	struct strbuf wire;
	size_t i;

	strbuf_init(&wire);
	towire_lamp_header(&wire, &header);
	CHECK_INT(wire.len, 8);
	CHECK(fromwire_lamp_header(wire.data, wire.len, &header_out));
	CHECK_INT(header_out.count, 70000);
	CHECK(!fromwire_lamp_record(wire.data, wire.len, &record_out));

	for (i = 0; i < sizeof(trailer.sum); i++)
		trailer.sum[i] = (uint8_t)i;
	strbuf_reset(&wire);
	towire_lamp_trailer(&wire, &trailer);
	CHECK_INT(wire.len, 34);
	CHECK(fromwire_lamp_trailer(wire.data, wire.len, &trailer_out));
	CHECK(memcmp(trailer.sum, trailer_out.sum, 32) == 0);
	strbuf_free(&wire);

	CHECK_STR(lamp_wire_name(WIRE_LAMP_TRAILER), "lamp_trailer");
	CHECK(!lamp_wire_name(0));
	CHECK_INT(lamp_wire_peek("x", 1), 0);
}

int main(void)
{
	record();
	damaged_records();
	others();
	return 0;
}
