#include "common/ring.h"
#include "tests/check.h"

/* What a simple, slow model of the ring holds. */
struct model {
	char records[200][40];
	size_t first, len, bytes;
};

static void compare(const void *data, size_t len, void *arg)
{
	struct model *m = arg;
	const char *expected = m->records[m->first++ % 200];

	CHECK_INT(len, strlen(expected));
	CHECK_STR(data, expected);
}

static void check_against_model(const struct ring *r, const struct model *m)
{
	struct model copy = *m;

	CHECK_INT(r->count, m->len);
	CHECK_INT(r->used, m->bytes);
	ring_each(r, compare, &copy);
	CHECK_INT(copy.first, m->first + m->len);
}

static void random_pushes(size_t size)
{
	static struct model m;
	uint64_t seed = size;
	struct ring r;
	int i;

	memset(&m, 0, sizeof(m));
	ring_init(&r, size);
	for (i = 0; i < 150; i++) {
		size_t len = check_random(&seed) % 30;
		char *slot = m.records[(m.first + m.len) % 200];

		memset(slot, 'a' + i % 26, len);
		slot[len] = '\0';
		if (len + 4 > size) {
			CHECK(!ring_push(&r, slot, len));
			continue;
		}
		CHECK(ring_push(&r, slot, len));
		m.len++;
		m.bytes += len + 4;
		while (m.bytes > size) {
			m.bytes -= strlen(m.records[m.first % 200]) + 4;
			m.first++;
			m.len--;
		}
		check_against_model(&r, &m);
	}
	CHECK_INT(r.dropped + r.count, 150);
	ring_free(&r);
}

int main(void)
{
	static const size_t sizes[] = {4, 5, 16, 33, 64, 257, 1024};
	size_t i;

	for (i = 0; i < sizeof(sizes) / sizeof(*sizes); i++)
		random_pushes(sizes[i]);
	return 0;
}
