/* A unit test as a memory-hungry daemon has it: builds a table of records on the heap, looks each of them up again and
 * again, frees them all. `ballast MIB ROUNDS`: the size of the table and how often it is gone through.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct record {
	struct record *next;
	unsigned long key;
	char text[16384 - 2 * sizeof(long)];
};

#define BUCKETS 256

static unsigned long mix(unsigned long x)
{
	x ^= x >> 31;
	x *= 0x7fb5d329728ea185UL;
	return x ^ (x >> 27);
}

int main(int argc, char **argv)
{
	static struct record *table[BUCKETS];
	long count = argc > 1 ? atol(argv[1]) * 64 : 0, found = 0;
	long rounds = argc > 2 ? atol(argv[2]) : 0;

	for (long i = 0; i < count; i++) {
		struct record *record = malloc(sizeof(*record));
		if (!record)
			return 3;
		record->key = mix(i + 1);
		memset(record->text, 'a' + (int)(i % 26), sizeof(record->text));
		record->next = table[record->key % BUCKETS];
		table[record->key % BUCKETS] = record;
	}
	for (long round = 0; round < rounds; round++) {
		unsigned long key = mix((unsigned long)round % (unsigned long)(count ? count : 1) + 1);
		for (struct record *record = table[key % BUCKETS]; record; record = record->next)
			found += record->key == key && record->text[round % 64] != 0;
		for (int step = 0; step < 64; step++)
			key = mix(key);
		found += key == 0;
	}
	for (int bucket = 0; bucket < BUCKETS; bucket++)
		while (table[bucket]) {
			struct record *record = table[bucket];
			table[bucket] = record->next;
			free(record);
		}
	printf("%ld of %ld\n", found, rounds);
	return count > 0 && found != rounds;
}
