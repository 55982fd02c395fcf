/* A lock of three states, as in "Futexes are tricky", with fields of its own behind the word. */
#define _GNU_SOURCE
#include <linux/futex.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static void futex(int *word, int operation, int value) {
    syscall(SYS_futex, word, operation, value, NULL, NULL, 0);
}

/* The state is 0, 1 or 2: open, closed, closed with somebody waiting. What follows is the program's own business. */
struct lock {
    int state;
    unsigned count;
    int thread;
    unsigned users;
    int kind;
    int more[5];
} __attribute__((aligned(16)));

static struct lock locks[2];

void close_both(int waits_for_first, int waits_for_second) {
    locks[0] = (struct lock){.state = 2, .thread = waits_for_second, .users = 1};
    locks[1] = (struct lock){.state = 2, .thread = waits_for_first, .users = 1};
}

void take(int which) {
    while (__atomic_exchange_n(&locks[which].state, 2, __ATOMIC_ACQUIRE) != 0)
        futex(&locks[which].state, FUTEX_WAIT_PRIVATE, 2);
}

void open_both_after(int seconds) {
    struct timespec time = {seconds, 0};
    nanosleep(&time, NULL);
    for (int i = 0; i < 2; i++) {
        __atomic_store_n(&locks[i].state, 0, __ATOMIC_RELEASE);
        futex(&locks[i].state, FUTEX_WAKE_PRIVATE, 1);
    }
}
