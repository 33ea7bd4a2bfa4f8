/* Checksums of files, and lists of them as sha256sum(1) writes. */
#ifndef LANTERN_COMMON_FILESUM_H
#define LANTERN_COMMON_FILESUM_H

#include "common/sha256.h"
#include "common/strbuf.h"

#include <stdbool.h>

/* How this build reads the files: "stream" (in blocks) or "whole" (at once). */
extern const char filesum_mode[];

/* The SHA-256 of a file; false and a reason in ERR if it cannot be read. */
bool filesum_sha256(const char *path, uint8_t out[SHA256_LEN],
		    struct strbuf *err);

struct filesum {
	char *name; /* a plain file name: no '/', not "." or ".." */
	uint8_t sum[SHA256_LEN];
};

struct filesum_list {
	struct filesum *items;
	size_t len;
};

/* Reads "HEX  NAME" lines; false and a reason in ERR if one is malformed. */
bool filesum_parse(const char *text, size_t len, struct filesum_list *list,
		   struct strbuf *err);

/* The same from a file of at most 64 KiB. */
bool filesum_load(const char *path, struct filesum_list *list,
		  struct strbuf *err);

void filesum_list_free(struct filesum_list *list);

#endif
