/* A process of its own in the address space of its parent. */
#define _GNU_SOURCE
#include <limits.h>
#include <linux/futex.h>
#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static int word;
static char stack[65536] __attribute__((aligned(16)));

/* Bare system calls: the C library's thread data belongs to the parent. */
static int wake_later(void *unused) {
    struct timespec six_seconds = {6, 0};
    (void)unused;
    syscall(SYS_nanosleep, &six_seconds, NULL);
    __atomic_store_n(&word, 1, __ATOMIC_RELEASE);
    syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
    return 0;
}

int start(void) {
    return clone(wake_later, stack + sizeof stack, CLONE_VM | SIGCHLD, NULL);
}

void await_word(void) {
    while (!__atomic_load_n(&word, __ATOMIC_ACQUIRE))
        syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0);
}
