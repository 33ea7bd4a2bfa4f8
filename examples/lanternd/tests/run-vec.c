#include "common/alloc.h"
#include "common/vec.h"
#include "tests/check.h"

int main(void)
{
	static int numbers[1000];
	struct vec v;
	char *copy;
	size_t i;

	vec_init(&v);
	CHECK_INT(vec_find(&v, numbers), 0);
	for (i = 0; i < 1000; i++)
		vec_push(&v, &numbers[i]);
	CHECK_INT(v.len, 1000);
	CHECK_INT(vec_find(&v, &numbers[777]), 777);
	CHECK_INT(vec_find(&v, &v), 1000);

	/* Taking out every other one keeps the order. */
	for (i = 0; i < 500; i++)
		CHECK(vec_remove(&v, i) == &numbers[2 * i]);
	CHECK_INT(v.len, 500);
	for (i = 0; i < 500; i++)
		CHECK(v.items[i] == &numbers[2 * i + 1]);
	CHECK(vec_remove(&v, 499) == &numbers[999]);
	vec_free(&v);
	CHECK_INT(v.len, 0);

	copy = xstrndup("lantern", 4);
	CHECK_STR(copy, "lant");
	copy = xreallocarray(copy, 4, 100);
	CHECK_STR(copy, "lant");
	free(copy);
	return 0;
}
