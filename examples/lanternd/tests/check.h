/* Assertions for the unit tests: a failure names its line and ends the test. */
#ifndef LANTERN_TESTS_CHECK_H
#define LANTERN_TESTS_CHECK_H

#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(cond)                                                       \
	do {                                                              \
		if (!(cond)) {                                            \
			fprintf(stderr, "%s:%d: not true: %s\n",          \
				__FILE__, __LINE__, #cond);               \
			exit(1);                                          \
		}                                                         \
	} while (0)

#define CHECK_INT(actual, expected)                                       \
	do {                                                              \
		long long check_a = (long long)(actual);                  \
		long long check_e = (long long)(expected);                \
		if (check_a != check_e) {                                 \
			fprintf(stderr, "%s:%d: %s is %lld, not %lld\n",  \
				__FILE__, __LINE__, #actual, check_a,     \
				check_e);                                 \
			exit(1);                                          \
		}                                                         \
	} while (0)

#define CHECK_STR(actual, expected)                                       \
	do {                                                              \
		const char *check_a = (actual);                           \
		const char *check_e = (expected);                         \
		if (!check_a || strcmp(check_a, check_e) != 0) {          \
			fprintf(stderr, "%s:%d: %s is '%s', not '%s'\n",  \
				__FILE__, __LINE__, #actual,              \
				check_a ? check_a : "(null)", check_e);   \
			exit(1);                                          \
		}                                                         \
	} while (0)

/* Numbers that look random and are the same every time. */
static inline uint32_t check_random(uint64_t *state)
{
	*state = *state * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(*state >> 33);
}

#endif
