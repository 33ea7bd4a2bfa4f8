/* A bug of each kind that valgrind's memory options can make memcheck miss, each in a function of its own. */
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#define BUG __attribute__((noinline)) static void

static char *volatile kept;
static volatile int sink;

/* A block that the compiler cannot see through. */
__attribute__((noinline)) static char *block(size_t size)
{
	kept = malloc(size);
	return kept;
}

BUG read_just_behind(void)
{
	char *b = block(40);
	sink = b[40];
	free(kept);
}

/* Into the next block, were there nothing between the two. */
BUG read_well_behind(void)
{
	char *live[64];
	for (int i = 0; i < 64; i++)
		live[i] = block(40);
	sink = live[20][40 + 40];
	for (int i = 0; i < 64; i++)
		free(live[i]);
}

BUG read_just_before(void)
{
	char *b = block(40);
	sink = b[-1];
	free(kept);
}

BUG use_after_free(void)
{
	free(block(40));
	sink = kept[3];
}

/* After 4 MiB that a busy program frees meanwhile, when its place between two blocks in use may be given out again. */
BUG use_long_after_free(void)
{
	char *before = block(40), *volatile old = block(40), *behind = block(40), *live[64];
	free(old);
	for (int i = 0; i < 4096; i++)
		free(block(1024));
	for (int i = 0; i < 64; i++)
		live[i] = block(40);
	sink = old[3];
	for (int i = 0; i < 64; i++)
		free(live[i]);
	free(before);
	free(behind);
}

BUG free_twice(void)
{
	char *b = block(40);
	free(b);
	free(kept = b);
}

BUG branch_on_undefined(void)
{
	char *b = block(40);
	if (b[7] == 'x')
		sink++;
	free(b);
}

BUG write_undefined(void)
{
	char *b = block(40);
	if (write(open("/dev/null", O_WRONLY), b, 40) < 0)
		sink++;
	free(b);
}

BUG leak(void)
{
	block(777)[0] = 1;
	kept = NULL;
}

/* As deep in the stack as real code is. */
__attribute__((noinline)) static void deep(int depth)
{
	if (depth > 0)
		deep(depth - 1);
	else
		use_after_free();
	sink++;
}

int main(void)
{
	read_just_behind();
	read_well_behind();
	read_just_before();
	deep(9);
	use_long_after_free();
	free_twice();
	branch_on_undefined();
	write_undefined();
	leak();
	return 0;
}
