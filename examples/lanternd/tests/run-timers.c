#include "common/timers.h"
#include "tests/check.h"

struct fixture {
	struct timers timers;
	int order[2000];
	size_t fired;
};

static struct fixture *f;

static void record(void *arg)
{
	f->order[f->fired++] = *(int *)arg;
}

static void again(void *arg)
{
	record(arg);
	timers_add(&f->timers, 0, again, arg);
}

static void in_order(void)
{
	static int numbers[1000];
	uint64_t ids[1000], seed = 1;
	uint64_t due[1000];
	size_t i;

	CHECK_INT(timers_wait(&f->timers, 0), -1);
	for (i = 0; i < 1000; i++) {
		numbers[i] = (int)i;
		due[i] = check_random(&seed) % 100;
		ids[i] = timers_add(&f->timers, due[i], record, &numbers[i]);
		CHECK(ids[i] != 0);
	}
	for (i = 0; i < 1000; i += 3)
		timers_cancel(&f->timers, ids[i]);
	timers_cancel(&f->timers, ids[0]);
	timers_cancel(&f->timers, 0);
	timers_run(&f->timers, 49);
	for (i = 0; i < f->fired; i++)
		CHECK(due[f->order[i]] <= 49);
	timers_run(&f->timers, 1000);
	CHECK_INT(f->fired, 666);
	for (i = 1; i < f->fired; i++) {
		int a = f->order[i - 1], b = f->order[i];

		CHECK(due[a] < due[b] || (due[a] == due[b] && a < b));
		CHECK(b % 3 != 0);
	}
}

static void waits(void)
{
	int number = 0;
	uint64_t id = timers_add(&f->timers, 500, record, &number);

	CHECK_INT(timers_wait(&f->timers, 100), 400);
	CHECK_INT(timers_wait(&f->timers, 500), 0);
	CHECK_INT(timers_wait(&f->timers, 900), 0);
	timers_cancel(&f->timers, id);
	id = timers_add(&f->timers, UINT64_MAX, record, &number);
	CHECK_INT(timers_wait(&f->timers, 0), INT32_MAX);
	timers_cancel(&f->timers, id);
}

static void adding_within_a_callback_ends(void)
{
	int number = 7;

	f->fired = 0;
	timers_add(&f->timers, 0, again, &number);
	timers_run(&f->timers, 10);
	CHECK_INT(f->fired, 1);
	timers_run(&f->timers, 10);
	CHECK_INT(f->fired, 2);
}

int main(void)
{
	uint64_t before = timers_clock();

	f = calloc(1, sizeof(*f));
	timers_init(&f->timers);
	in_order();
	waits();
	adding_within_a_callback_ends();
	timers_free(&f->timers);
	free(f);
	CHECK(timers_clock() >= before);
	return 0;
}
