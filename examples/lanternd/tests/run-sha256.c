#include "common/hex.h"
#include "common/sha256.h"
#include "tests/check.h"

static void check_sum(const uint8_t sum[SHA256_LEN], const char *expected)
{
	char text[2 * SHA256_LEN + 1];

	hex_encode(sum, SHA256_LEN, text);
	CHECK_STR(text, expected);
}

/* The examples of FIPS 180-4 and RFC 6234. */
static void vectors(void)
{
	static const struct {
		const char *text;
		const char *sum;
	} table[] = {
		{"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
		{"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
		{"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
		 "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
		{"abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhijklmnoijklmnopjklmnopqklmnopqrlmnopqrsmnopqrstnopqrstu",
		 "cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1"},
	};
	uint8_t sum[SHA256_LEN];
	size_t i;

	for (i = 0; i < sizeof(table) / sizeof(*table); i++) {
		sha256(table[i].text, strlen(table[i].text), sum);
		check_sum(sum, table[i].sum);
	}
}

static void many(void)
{
	struct sha256 ctx;
	uint8_t sum[SHA256_LEN];
	char block[1000];
	int i;

	memset(block, 'a', sizeof(block));
	sha256_init(&ctx);
	for (i = 0; i < 1000; i++)
		sha256_update(&ctx, block, sizeof(block));
	sha256_final(&ctx, sum);
	check_sum(sum, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

/* Wherever it is cut, in two or three: the sum is the same. */
static void splits(void)
{
	uint8_t data[200], whole[SHA256_LEN], sum[SHA256_LEN];
	struct sha256 ctx;
	size_t len, cut;

	for (len = 0; len < sizeof(data); len++)
		data[len] = (uint8_t)(len * 7);
	for (len = 0; len <= sizeof(data); len += 9) {
		sha256(data, len, whole);
		for (cut = 0; cut <= len; cut++) {
			size_t second = cut + (len - cut) / 3;

			sha256_init(&ctx);
			sha256_update(&ctx, data, cut);
			sha256_update(&ctx, data + cut, second - cut);
			sha256_update(&ctx, data + second, len - second);
			sha256_final(&ctx, sum);
			CHECK(memcmp(sum, whole, SHA256_LEN) == 0);
		}
	}
}

int main(void)
{
	vectors();
	many();
	splits();
	return 0;
}
