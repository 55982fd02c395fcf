/* A thread that shares everything with the others but its descriptors. */
#define _GNU_SOURCE
#include <sched.h>
#include <unistd.h>

/* Reads from `other`, but under the number of `descriptor`. */
int read_instead(int descriptor, int other) {
    char answer[16];
    if (unshare(CLONE_FILES) != 0 || dup2(other, descriptor) < 0)
        return -1;
    close(other);
    return (int)read(descriptor, answer, sizeof answer);
}
