#include "tests/check.h"
#include "tinyhash.h"

/* SipHash-2-4 of 00, 00 01, 00 01 02 … with the key 00 … 0f: the first of the
 * vectors which its authors published. */
static const uint64_t vectors[] = {
	0x726fdb47dd0e0e31, 0x74f839c593dc67fd, 0x0d6c8009d9a94f5a,
	0x85676696d7fb7e2d, 0xcf2794e0277187b7, 0x18765564cd99a68d,
	0xcbc9466e58fee3ce, 0xab0200f58b01d137, 0x93f5f5799a932462,
	0x9e0082df0ba9e4b0, 0x7a5dbbc594ddb9f3, 0xf4b32f46226bada7,
	0x751e8fbc860ee5fb, 0x14ea5627c0843d90, 0xf723ca908e7af2ee,
	0xa129ca6149be45e5,
};

int main(void)
{
	uint8_t key[TINYHASH_KEY_LEN];
	uint8_t *message;
	size_t i, len;

	for (i = 0; i < sizeof(key); i++)
		key[i] = (uint8_t)i;
	for (len = 0; len < sizeof(vectors) / sizeof(*vectors); len++) {
		/* Of the exact size, so that reading on is noticed. */
		message = malloc(len ? len : 1);
		for (i = 0; i < len; i++)
			message[i] = (uint8_t)i;
		CHECK(tinyhash_siphash(key, message, len) == vectors[len]);
		free(message);
	}
	key[15] ^= 1;
	CHECK(tinyhash_siphash(key, "", 0) != vectors[0]);
	return 0;
}
