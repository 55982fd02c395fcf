"""``--prove-hangs``: a whole pytest session under watch from outside.

The process that the user started forks before pytest has loaded any conftest file. The *child* goes
on as pytest; the *parent* stays outside and watches (`fork`, `watcher`). So nothing is started in
the process under test, its parent may look at it under every Yama setting, and everything that a
test starts is below the watcher.

Each pytest process, including an xdist worker, writes down which test begins and how each phase
ends (`recorder`, `journal`). A file keeps what was written when its writer is killed. That is how
the watcher knows the test a process is in (`position`), and why no finished result is lost: if the
session itself has to be ended, the parent runs a session that executes nothing and gives the
recorded results to all reporting plugins (`outside`, `replay`). What a worker has written, xdist's
controller does not write again.
"""
