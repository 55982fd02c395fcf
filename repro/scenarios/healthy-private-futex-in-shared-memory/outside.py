"""Something done later by a process that is no descendant of this one."""
import os
import select


def do_later_from_outside(seconds, action):
    """Fork twice, and call `action` in the grandchild unless this process ends before."""
    has_ended, lifeline = os.pipe()
    child = os.fork()
    if child == 0:
        os.setsid()
        if os.fork() == 0:
            os.close(lifeline)
            if not select.select([has_ended], [], [], seconds)[0]:
                action()
        os._exit(0)
    os.close(has_ended)
    os.waitpid(child, 0)
