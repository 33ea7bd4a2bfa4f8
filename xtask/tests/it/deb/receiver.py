"""An FTP server for anonymous uploads, whose failures are switched on by files in a directory: `deny` has a part of the names
that are refused, and `cut` the number of bytes after which a transfer breaks off."""

import os
import sys

from pyftpdlib.authorizers import DummyAuthorizer
from pyftpdlib.filesystems import AbstractedFS
from pyftpdlib.handlers import DTPHandler, FTPHandler
from pyftpdlib.servers import FTPServer

root, switches = sys.argv[1:]


def switch(name):
    path = os.path.join(switches, name)
    return open(path).read().strip() if os.path.exists(path) else None


class Files(AbstractedFS):
    def validpath(self, path):
        # A link to /dev/full stands for a full disk.
        return True

    def open(self, filename, mode):
        # A full disk is noticed when it is written to, and not when the file is closed, for which the library has no answer.
        return open(filename, mode, buffering=0)


class Transfer(DTPHandler):
    ac_in_buffer_size = 1024

    def handle_read(self):
        super().handle_read()
        limit = switch("cut")
        if limit is not None and self.get_transmitted_bytes() >= int(limit):
            channel = self.cmd_channel
            self.close()
            channel.close()

    # The library calls it by this name.
    handle_read_event = handle_read


class Handler(FTPHandler):
    dtp_handler = Transfer
    abstracted_fs = Files

    def ftp_STOR(self, file, mode="w"):
        denied = switch("deny")
        if denied is not None and denied in file:
            self.respond("550 Not permitted to upload.")
            return None
        return super().ftp_STOR(file, mode)


authorizer = DummyAuthorizer()
authorizer.add_anonymous(root, perm="elradfmw", msg_login="Hello.")
Handler.authorizer = authorizer
server = FTPServer(("127.0.0.1", 0), Handler)
print(server.socket.getsockname()[1], flush=True)
server.serve_forever()
