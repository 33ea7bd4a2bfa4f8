#include "common/poller.h"
#include "tests/check.h"

#include <unistd.h>

struct peer {
	struct poller *poller;
	struct poll_entry *entry;
	struct peer *victim; /* removed when this one is called */
	int fds[2];
	int calls;
};

static void on_readable(void *arg, short revents)
{
	struct peer *peer = arg;
	char c;

	CHECK(revents & POLLIN);
	CHECK(read(peer->fds[0], &c, 1) == 1);
	peer->calls++;
	if (peer->victim)
		poller_remove(peer->victim->entry);
}

static void add_more(void *arg, short revents)
{
	struct peer *peer = arg;
	int i;

	on_readable(arg, revents);
	for (i = 0; i < 50; i++)
		poller_remove(poller_add(peer->poller, peer->fds[0], POLLIN,
					 on_readable, peer));
}

static void open_peer(struct peer *peer, struct poller *poller, poll_fn *fn)
{
	CHECK(pipe(peer->fds) == 0);
	peer->poller = poller;
	peer->victim = NULL;
	peer->calls = 0;
	peer->entry = poller_add(poller, peer->fds[0], POLLIN, fn, peer);
}

int main(void)
{
	struct poller poller;
	struct peer peers[4];
	int i;

	poller_init(&poller);
	CHECK_INT(poller_run(&poller, 0), 0);
	for (i = 0; i < 4; i++)
		open_peer(&peers[i], &poller, i == 3 ? add_more : on_readable);
	CHECK_INT(poller_run(&poller, 0), 0);

	/* One that is removed by an earlier one is not called any more. */
	peers[0].victim = &peers[1];
	for (i = 0; i < 4; i++)
		CHECK(write(peers[i].fds[1], "x", 1) == 1);
	CHECK_INT(poller_run(&poller, -1), 0);
	CHECK_INT(peers[0].calls, 1);
	CHECK_INT(peers[1].calls, 0);
	CHECK_INT(peers[2].calls, 1);
	CHECK_INT(peers[3].calls, 1);
	CHECK_INT(poller.entries.len, 3);

	/* No interest, no call. */
	peers[2].entry->events = 0;
	CHECK(write(peers[2].fds[1], "x", 1) == 1);
	CHECK_INT(poller_run(&poller, 0), 0);
	CHECK_INT(peers[2].calls, 1);
	for (i = 0; i < 4; i++) {
		close(peers[i].fds[0]);
		close(peers[i].fds[1]);
	}
	poller_free(&poller);
	return 0;
}
