/* SHA-256 (FIPS 180-4). */
#ifndef LANTERN_COMMON_SHA256_H
#define LANTERN_COMMON_SHA256_H

#include <stddef.h>
#include <stdint.h>

#define SHA256_LEN 32

struct sha256 {
	uint32_t state[8];
	uint64_t total;    /* bytes seen */
	uint8_t block[64]; /* the last total % 64 of them */
};

void sha256_init(struct sha256 *ctx);
void sha256_update(struct sha256 *ctx, const void *data, size_t len);
void sha256_final(struct sha256 *ctx, uint8_t out[SHA256_LEN]);

/* All at once. */
void sha256(const void *data, size_t len, uint8_t out[SHA256_LEN]);

#endif
