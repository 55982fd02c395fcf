/* A lock of three states, as in "Futexes are tricky", with fields of its own behind the word. */
#include <linux/futex.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <time.h>

/* The system call itself, without the C library. */
static void futex(int *word, int operation, int value) {
#if defined(__x86_64__)
    long result = SYS_futex;
    register void *timeout __asm__("r10") = NULL;
    __asm__ volatile("syscall"
                     : "+a"(result)
                     : "D"(word), "S"((long)operation), "d"((long)value), "r"(timeout)
                     : "rcx", "r11", "memory");
#elif defined(__aarch64__)
    register long number __asm__("x8") = SYS_futex;
    register long first __asm__("x0") = (long)word;
    register long second __asm__("x1") = operation;
    register long third __asm__("x2") = value;
    register void *timeout __asm__("x3") = NULL;
    __asm__ volatile("svc 0" : "+r"(first) : "r"(number), "r"(second), "r"(third), "r"(timeout) : "memory");
#else
#error "not written for this processor"
#endif
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
