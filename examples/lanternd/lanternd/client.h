/* One connection to the daemon's socket. */
#ifndef LANTERN_LANTERND_CLIENT_H
#define LANTERN_LANTERND_CLIENT_H

#include "lanternd/daemon.h"

/* Closes the connection; see daemon_add_client(). */
void client_free(struct client *client);

#endif
