#include "lanternd/store.h"
#include "tests/check.h"


static const uint8_t seed[TINYHASH_KEY_LEN] = "fifteen bytes..";

static struct lamp_record lamp(const char *name, uint16_t watts, bool lit)
{
	struct lamp_record l = {.name = (char *)name, .watts = watts, .lit = lit};

	return l;
}

static void names(void)
{
	char longest[STORE_NAME_MAX + 2];

	memset(longest, 'x', sizeof(longest));
	longest[STORE_NAME_MAX] = '\0';
	CHECK(store_name_valid(longest));
	longest[STORE_NAME_MAX] = 'x';
	longest[STORE_NAME_MAX + 1] = '\0';
	CHECK(!store_name_valid(longest));
	CHECK(store_name_valid("a-B_3.x"));
	CHECK(!store_name_valid(""));
	CHECK(!store_name_valid("-a"));
	CHECK(!store_name_valid("a b"));
	CHECK(!store_name_valid("gr\xc3\xbcn"));
}

static void changes(void)
{
	struct lamp_record a = lamp("a", 1, true), b = lamp("b", 2, false);
	struct lamp_record bad = lamp("b d", 2, false);
	const struct lamp_record **sorted;
	struct store s;

	store_init(&s, seed, 2);
	CHECK(!store_sorted(&s));
	CHECK_INT(store_add(&s, &b), STORE_OK);
	CHECK_INT(store_add(&s, &a), STORE_OK);
	CHECK_INT(store_add(&s, &a), STORE_EXISTS);
	CHECK_INT(store_add(&s, &bad), STORE_INVALID);
	bad = lamp("c", 2, false);
	CHECK_INT(store_add(&s, &bad), STORE_FULL);
	CHECK_INT(store_replace(&s, &bad), STORE_MISSING);
	CHECK_INT(s.lit, 1);
	b.lit = true;
	CHECK_INT(store_replace(&s, &b), STORE_OK);
	CHECK_INT(s.lit, 2);
	CHECK_INT(store_get(&s, "b")->watts, 2);
	sorted = store_sorted(&s);
	CHECK_STR(sorted[0]->name, "a");
	CHECK_STR(sorted[1]->name, "b");
	free(sorted);
	CHECK_INT(store_delete(&s, "a"), STORE_OK);
	CHECK_INT(store_delete(&s, "a"), STORE_MISSING);
	CHECK_INT(s.lit, 1);
	CHECK(!store_get(&s, "a"));
	store_free(&s);
}

int main(void)
{
	names();
	changes();
	return 0;
}
